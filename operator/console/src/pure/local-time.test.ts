import { expect, it } from "vitest";
import { fromLocal, toLocal } from "./local-time.ts";

it("is the same time in the reader's zone, and back", () => {
  const shown = toLocal("2026-11-26T18:25:00Z");
  const there = new Date(2026, 10, 26, 18, 25 - new Date("2026-11-26T18:25:00Z").getTimezoneOffset());
  expect([there.getDate(), there.getHours(), there.getMinutes()]).toEqual(
    [shown.slice(8, 10), shown.slice(11, 13), shown.slice(14, 16)].map(Number),
  );
  expect(fromLocal(shown)).toBe("2026-11-26T18:25:00Z");
});

it("is nothing where nothing is given", () => {
  expect(toLocal(null)).toBe("");
  expect(fromLocal("")).toBeUndefined();
  expect(fromLocal("soon")).toBeUndefined();
});
