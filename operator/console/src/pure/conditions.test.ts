import { expect, test } from "vitest";
import { sortedConditions, spaced, toneOf } from "./conditions.ts";
import type { Condition } from "./shapes.ts";

function a(type: string, status: Condition["status"], reason = ""): Condition {
  return { type, status, reason, message: "", since: "2026-11-26T00:00:00Z" };
}

test.each([
  [a("Ready", "True", "Serving"), "good"],
  [a("Ready", "False", "PodsNotReady"), "bad"],
  [a("Available", "Unknown"), "warn"],
  [a("Live", "False", "NotDeployed"), "past"],
  [a("Progressing", "True", "Deploying"), "busy"],
  [a("Progressing", "False", "Settled"), "past"],
  [a("Progressing", "False", "DeployFailed"), "bad"],
  [a("DeploySpecOverridden", "True", "RolledBack"), "warn"],
  [a("DeploySpecOverridden", "False", "AsDeclared"), "past"],
  [a("ReconcileFailed", "True", "Crashed"), "bad"],
  [a("Trial", "False", "Reverted"), "warn"],
  [a("Trial", "False", "Kept"), "past"],
  [a("Asleep", "True", "NoCalls"), "calm"],
  [a("Recorded", "False", "PodsNotRestarted"), "warn"],
])("%o is %s news", (condition, tone) => {
  expect(toneOf(condition)).toBe(tone);
});

test("what needs a look stands first, and Ready before what is alike", () => {
  const found = sortedConditions([
    a("Live", "True"),
    a("Ready", "True"),
    a("Progressing", "True"),
    a("VariablesResolved", "False", "Missing"),
  ]);
  expect(found.map((each) => each.type)).toEqual(["VariablesResolved", "Progressing", "Ready", "Live"]);
});

test("names are read as words", () => {
  expect(spaced("DeploySpecOverridden")).toBe("Deploy spec overridden");
  expect(spaced("OOMKilled")).toBe("OOMKilled");
  expect(spaced("Ready")).toBe("Ready");
});
