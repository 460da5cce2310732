import { expect, test } from "vitest";
import { type Row, stepsOf, toneOfPod } from "./rollout.ts";

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

test("a waiting row shows its requirement", () => {
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

test("a failed one shows why, and which row still serves", () => {
  const row = aRow("Failed", { reason: "no pod became ready in 10 minutes" });
  expect(states(row)).toEqual(["Pending done", "Progressing done", "Failed failed"]);
  expect(stepsOf(row, "v4")[2]?.says).toBe("no pod became ready in 10 minutes. v4 still serves.");
  expect(stepsOf(row, null)[2]?.says).toBe("no pod became ready in 10 minutes. Nothing serves.");
});

test("the live row serves, and a former one names the row that serves now", () => {
  expect(stepsOf(aRow("Live", { is_live: true }), "v5")[2]).toEqual({ name: "Live", state: "done", says: "v5 serves" });
  expect(stepsOf(aRow("Superseded"), "v6")[2]?.says).toBe("v6 serves now");
});

const NOW = Date.parse("2026-11-24T22:30:00Z");
const aPod = (reason: string | null, created_at = "2026-11-24T22:29:50Z") => ({ ready: false, reason, created_at });

test.each([
  [null, "busy"],
  ["ContainerCreating", "busy"],
  ["PodInitializing", "busy"],
  ["NotReady", "busy"],
  ["Terminating", "past"],
  ["ImagePullBackOff", "bad"],
  ["CrashLoopBackOff", "bad"],
  ["Unschedulable", "bad"],
])("a pod that is not ready for the reason %s is %s", (reason, tone) => {
  expect(toneOfPod(aPod(reason), aRow("Progressing"), NOW)).toBe(tone);
  expect(toneOfPod({ ...aPod(reason), ready: true }, aRow("Failed"), NOW)).toBe("good");
});

test.each([
  ["of a row that failed", "Failed", "2026-11-24T22:29:50Z"],
  ["of a live row, once it is older than a rollout may last", "Live", "2026-11-24T22:19:50Z"],
] as const)("a pod that starts is bad %s", (_, status, created) => {
  expect(toneOfPod(aPod("NotReady", created), aRow(status), NOW)).toBe("bad");
});
