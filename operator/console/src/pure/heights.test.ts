import { describe, expect, it } from "vitest";
import { Heights, scrollFor } from "./heights.ts";

describe("Heights", () => {
  it("takes rows for as high as they are estimated until they are measured", () => {
    const heights = new Heights(4, 10);
    expect([heights.topOf(0), heights.topOf(3), heights.total]).toEqual([0, 30, 40]);
    // Place 3 is the newest of four rows: the first.
    expect(heights.set(3, 25)).toBe(15);
    expect(heights.set(3, 25)).toBe(0);
    expect([heights.topOf(1), heights.topOf(2), heights.total]).toEqual([25, 35, 55]);
  });

  it("keeps what was measured with its row when rows come in at the top, or go from there", () => {
    const heights = new Heights(2, 10);
    heights.set(1, 30);
    heights.resize(4);
    expect([0, 1, 2, 3, 4].map((index) => heights.topOf(index))).toEqual([0, 10, 20, 50, 60]);
    heights.resize(1);
    expect(heights.total).toBe(10);
  });

  it("finds the row at a distance", () => {
    const heights = new Heights(10_000, 60);
    heights.set(9_999, 100);
    expect([-5, 0, 99, 100, 159, 160, 1e9].map((distance) => heights.indexAt(distance))).toEqual([
      0, 0, 0, 1, 1, 2, 9_999,
    ]);
    for (const index of [0, 1, 5_000, 9_999]) expect(heights.indexAt(heights.topOf(index))).toBe(index);
    expect(new Heights(0, 60).indexAt(10)).toBe(0);
  });
});

describe("scrollFor", () => {
  const window = { scroll: 1000, height: 800, covered: 100 };

  it("leaves a row where it is that is in sight", () => {
    expect(scrollFor({ top: 1100, height: 50 }, window, "auto")).toBe(1000);
    expect(scrollFor({ top: 1750, height: 50 }, window, "auto")).toBe(1000);
  });

  it("brings one in sight that is covered, above, or below", () => {
    expect(scrollFor({ top: 1050, height: 50 }, window, "auto")).toBe(950);
    expect(scrollFor({ top: 200, height: 50 }, window, "auto")).toBe(100);
    expect(scrollFor({ top: 2000, height: 50 }, window, "auto")).toBe(1250);
    expect(scrollFor({ top: 20, height: 50 }, window, "auto")).toBe(0);
  });

  it("begins at the top where it is asked to, and with a row that is higher than the window", () => {
    expect(scrollFor({ top: 1500, height: 50 }, window, "start")).toBe(1400);
    expect(scrollFor({ top: 1100, height: 900 }, window, "auto")).toBe(1000);
  });
});
