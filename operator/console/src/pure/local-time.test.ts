import { expect, it } from "vitest";
import { fromLocal, fromLocalOr, toLocal } from "./local-time.ts";

it("is the same time in the reader's zone, and back", () => {
  const shown = toLocal("2026-11-26T18:25:00Z");
  const there = new Date(2026, 10, 26, 18, 25 - new Date("2026-11-26T18:25:00Z").getTimezoneOffset());
  expect([there.getDate(), there.getHours(), there.getMinutes()]).toEqual(
    [shown.slice(8, 10), shown.slice(11, 13), shown.slice(14, 16)].map(Number),
  );
  expect(fromLocal(shown)).toBe("2026-11-26T18:25:00Z");
  expect(fromLocal(toLocal("2026-03-29T00:30:00Z"))).toBe("2026-03-29T00:30:00Z");
});

it("has seconds on request", () => {
  expect(fromLocal(toLocal("2026-11-26T18:25:47.5Z", true))).toBe("2026-11-26T18:25:47Z");
});

it("is nothing where nothing is given", () => {
  expect(toLocal(null)).toBe("");
  expect(fromLocal("")).toBeUndefined();
  expect(fromLocal("soon")).toBeUndefined();
});

it("stays as it was, to the second, if it is untouched", () => {
  for (const before of ["2026-11-26T18:25:47Z", "2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z"]) {
    expect(fromLocalOr(before, toLocal(before))).toBe(before);
  }
  expect(fromLocalOr("2026-11-26T18:25:47Z", toLocal("2026-11-26T18:26:00Z"))).toBe("2026-11-26T18:26:00Z");
  expect(fromLocalOr("2026-11-26T18:25:47Z", "")).toBeUndefined();
  expect(fromLocalOr(null, toLocal("2026-11-26T18:26:00Z"))).toBe("2026-11-26T18:26:00Z");
});
