import { expect, test } from "vitest";
import { type Row, stepsOf } from "./rollout.ts";

function aRow(status: Row["status"], more: Partial<Row> = {}): Row {
  const workflow_version = { id: "v", version: "v5", description: null };
  return {
    status,
    waits: null,
    ready: null,
    reason: null,
    conditions: [],
    duration_seconds: null,
    is_live: false,
    workflow_version,
    ...more,
  };
}
const waiting = (message: string): Partial<Row> => ({
  conditions: [{ type: "Succeeded", status: "Unknown", reason: "Waiting", message, since: null }],
});
const states = (row: Row, serving: string | null = "v4") =>
  stepsOf(row, serving).map((each) => `${each.name} ${each.state}`);

test("what waits says what it waits for", () => {
  const row = aRow("Pending", waiting("the rollout of v4 comes first"));
  expect(states(row)).toEqual(["Pending now", "Progressing todo", "Live todo"]);
  expect(stepsOf(row, "v4")[0]?.says).toBe("the rollout of v4 comes first");
});

test("a rollout under way counts its pods", () => {
  const row = aRow("Progressing", {
    ready: { ready: 2, wanted: 3, serving: "v4" },
    ...waiting("a pod pulls its image"),
  });
  expect(states(row)).toEqual(["Pending done", "Progressing now", "Live todo"]);
  expect(stepsOf(row, "v4")[1]?.says).toBe("2/3 ready: a pod pulls its image");
});

test("a failed one says why, and what still serves", () => {
  const row = aRow("Failed", { reason: "no pod became ready in 10 minutes" });
  expect(states(row)).toEqual(["Pending done", "Progressing done", "Failed failed"]);
  expect(stepsOf(row, "v4")[2]?.says).toBe("no pod became ready in 10 minutes. v4 still serves.");
  expect(stepsOf(row, null)[2]?.says).toBe("no pod became ready in 10 minutes. Nothing serves.");
});

test("what is live serves, and what was live says what serves now", () => {
  expect(stepsOf(aRow("Live", { is_live: true }), "v5")[2]).toEqual({ name: "Live", state: "done", says: "v5 serves" });
  expect(stepsOf(aRow("Superseded"), "v6")[2]?.says).toBe("v6 serves now");
});
