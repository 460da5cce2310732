import { expect, test } from "vitest";
import { moment, relative } from "./time.ts";

const NOW = Date.parse("2026-11-26T18:00:00Z");

test("a time is shown as its distance from now, in both directions", () => {
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

test("a moment has its seconds and its zone's hour", () => {
  expect(moment("2026-11-26T18:25:07Z", "UTC")).toBe("26 Nov 2026, 18:25:07");
  expect(moment("2026-11-26T23:25:07Z", "Asia/Tokyo")).toBe("27 Nov 2026, 08:25:07");
});
