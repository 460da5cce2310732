import { expect, test } from "vitest";
import { relative } from "./time.ts";

const NOW = Date.parse("2026-11-26T18:00:00Z");

test("a time is told by its distance from now, in both directions", () => {
  expect(relative("2026-11-26T17:57:00Z", NOW)).toBe("3 minutes ago");
  expect(relative("2026-11-28T18:00:00Z", NOW)).toBe("in 2 days");
  expect(relative("2026-11-26T18:00:30Z", NOW)).toBe("in a moment");
  expect(relative("2026-11-26T17:59:58Z", NOW)).toBe("just now");
});

test.each(["2026-11-26T18:00:09Z", "2026-11-26T18:05:00Z"])(
  "what has happened is never still to come, even where the cluster's clock is ahead: %s",
  (time) => {
    expect(relative(time, NOW, true)).toBe("just now");
  },
);

test("what has happened long ago is as long ago", () => {
  expect(relative("2026-11-26T16:00:00Z", NOW, true)).toBe("2 hours ago");
});
