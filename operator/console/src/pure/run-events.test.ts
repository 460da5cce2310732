import { describe, expect, it } from "vitest";
import { aboutOf, withEvents } from "./run-events.ts";
import type { BackgroundEvent } from "./shapes.ts";

const event = (sequence: number, type: string, data: Record<string, unknown> = {}): BackgroundEvent => ({
  ...{ sequence, type, data },
  timestamp: "2026-11-24T22:31:02.204000Z",
});
const ACCEPTED = event(1, "run.accepted");
const STARTED = event(2, "node.started", { id: "answer" });

describe("the log of a run", () => {
  it("has the newest event first, and each once", () => {
    const first = withEvents(undefined, { data: [ACCEPTED], ended: false });
    const log = withEvents(first, { data: [ACCEPTED, STARTED], ended: true });
    expect(log).toEqual({ last: 2, shown: [STARTED, ACCEPTED], ended: true });
  });

  it("leaves out parts of texts, and goes on after them", () => {
    const found = withEvents(undefined, {
      data: [ACCEPTED, event(2, "node.output.delta", { text: "He" })],
      ended: false,
    });
    expect(found).toEqual({ last: 2, shown: [ACCEPTED], ended: false });
    expect(withEvents(found, { data: [], ended: false })).toEqual(found);
  });

  it("keeps the newest 500", () => {
    const data = Array.from({ length: 600 }, (_, at) => event(at + 1, "node.ended"));
    const { shown, last } = withEvents(undefined, { data, ended: false });
    expect([shown.length, shown[0]?.sequence, last]).toEqual([500, 600, 600]);
  });
});

it.each([
  [STARTED, "answer"],
  [event(3, "node.started", { id: "answer", attempt: 2 }), "answer (attempt 2)"],
  [event(3, "run.resumed", { attempt: 2 }), "(attempt 2)"],
  [event(3, "run.completed", { id: "5f0c2b1e", output: "<b>" }), ""],
  [event(3, "node.started"), ""],
])("of %o it says: %s", (given, says) => expect(aboutOf(given)).toBe(says));
