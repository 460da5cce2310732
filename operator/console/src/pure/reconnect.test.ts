import { expect, test } from "vitest";
import { afterEnd, STEADY } from "./reconnect.ts";

const LONG = STEADY + 1;

test("a replica that stops is left within half a second, and not by all in the same moment", () => {
  expect(afterEnd(0, "ending", LONG, 0)).toEqual({ misses: 0, after: 0, polls: false });
  expect(afterEnd(0, "ending", LONG, 1)).toEqual({ misses: 0, after: 500, polls: false });
});

test("a stream that was on and broke is opened again after a second, without polls", () => {
  expect(afterEnd(3, "lost", LONG, 0.5)).toEqual({ misses: 0, after: 1_000, polls: false });
});

test("from the second miss on polls stand in", () => {
  const first = afterEnd(0, "refused", undefined, 0.5);
  expect(first).toMatchObject({ misses: 1, polls: false });
  expect(afterEnd(first.misses, "silent", undefined, 0.5)).toMatchObject({ misses: 2, polls: true });
});

test("a stream that is cut each time right after it began counts as a miss: it is not opened in a tight loop", () => {
  let misses = 0;
  for (const end of ["lost", "ending", "lost"] as const) misses = afterEnd(misses, end, 20, 0).misses;
  expect(misses).toBe(3);
  expect(afterEnd(misses, "ending", 20, 0).after).toBeGreaterThan(10_000);
});

test("it is tried more and more seldom, yet at least every two and a half minutes", () => {
  const rests = [1, 2, 3, 4, 5, 50].map((misses) => afterEnd(misses, "refused", undefined, 0.5).after);
  expect(rests).toEqual([15_000, 30_000, 60_000, 120_000, 120_000, 120_000]);
  expect(afterEnd(50, "refused", undefined, 1).after).toBeLessThanOrEqual(150_000);
});

test("where other tabs hold enough streams this one polls, and that is no miss", () => {
  expect(afterEnd(0, "full", undefined, 0.5)).toEqual({ misses: 0, after: 10_000, polls: true });
});
