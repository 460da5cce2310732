import { expect, it } from "vitest";
import { newAppBody, runtimeOfNew } from "./deploy-form.ts";

const NAMED = { workflowId: "workflow", versionId: "version" };
const RUNTIMES = [
  { id: "newest", deprecated: true },
  { id: "next", deprecated: false },
  { id: "old", deprecated: false },
];

it("makes a new App with the Runtime that is shown", () => {
  for (const [runtimeId, shown] of [
    [undefined, "next"],
    ["", "next"],
    ["old", "old"],
  ]) {
    const edits = { runtimeId, config: {} };
    expect(runtimeOfNew(edits, RUNTIMES)?.id).toBe(shown);
    expect(newAppBody(edits, NAMED, "project", RUNTIMES).runtime_id).toBe(shown);
  }
});

it("leaves the Runtime to the operator where none can be listed", () => {
  expect(newAppBody({ config: {} }, NAMED, "project", [])).not.toHaveProperty("runtime_id");
});
