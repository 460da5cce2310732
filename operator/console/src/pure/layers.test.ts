import { expect, test } from "vitest";
import { layerOf, stays } from "./layers.ts";

const from = (before: string, after: string) => stays(layerOf(before), layerOf(after));

test("a dialog that comes and goes leaves what lies below it where it is", () => {
  expect(from("/console/apps/a/history", "/console/apps/a/history/r1")).toBe(true);
  expect(from("/console/apps/a/history/r1", "/console/apps/a/history/r2")).toBe(true);
  expect(from("/console/apps/a/history/r1/roll-back", "/console/apps/a/history")).toBe(true);
  expect(from("/console/apps/a/history", "/console/apps/a/deploy")).toBe(true);
  expect(from("/console/workflows/w/deploy", "/console/workflows/w")).toBe(true);
});

test("another screen begins at its top", () => {
  expect(from("/console/apps/a", "/console/apps/a/history")).toBe(false);
  expect(from("/console/apps/a", "/console/apps/b")).toBe(false);
  expect(from("/console/apps/a/rollouts/r1", "/console/apps/a/rollouts/r2")).toBe(false);
  expect(from("/console/", "/console/apps/a/history/r1")).toBe(false);
  expect(from("/console", "/console/workflows")).toBe(false);
});
