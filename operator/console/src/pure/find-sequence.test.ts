import { describe, expect, it } from "vitest";
import { findSequence, readPlace } from "./find-sequence.ts";

/** A history of these sequences, newest first, and how many pages of it were read. */
function history(sequences: (number | null)[], size: number) {
  const read: number[] = [];
  return {
    read,
    find: (asked: number) =>
      findSequence(asked, sequences.length, size, async (page) => {
        read.push(page);
        return sequences.slice((page - 1) * size, page * size);
      }),
  };
}
const down = (from: number, until = 1) => Array.from({ length: from - until + 1 }, (_, each) => from - each);

describe("findSequence", () => {
  it.each([10_000, 9_999, 5_000, 51, 50, 2, 1])("finds #%i of 10,000 rows in two readings at most", async (asked) => {
    const { find, read } = history(down(10_000), 50);
    expect(await find(asked)).toEqual({ index: 10_000 - asked, isExact: true });
    expect(read.length).toBeLessThanOrEqual(2);
  });

  it("finds it if older rows were deleted and newer ones have no sequence yet", async () => {
    const sequences = [null, null, ...down(500, 301)];
    expect(await history(sequences, 20).find(301)).toEqual({ index: 201, isExact: true });
    expect(await history(sequences, 20).find(500)).toEqual({ index: 2, isExact: true });
  });

  it("gives the next older row where there is none, else the oldest or the newest", async () => {
    const sequences = down(1000).filter((each) => each % 7 === 0);
    for (let asked = 1; asked <= 1001; asked += 1) {
      const at = sequences.findIndex((sequence) => sequence <= asked);
      const found = await history(sequences, 10).find(asked);
      expect(found, `#${asked}`).toEqual({
        index: at < 0 ? sequences.length - 1 : at,
        isExact: sequences.includes(asked),
      });
    }
    expect(await history([], 10).find(3)).toBeUndefined();
  });

  it("reads few pages even where gaps are as uneven as can be", async () => {
    const sequences = [...down(1_000_000, 999_000), ...down(1_000)];
    const { find, read } = history(sequences, 10);
    expect((await find(999))?.isExact).toBe(true);
    expect(read.length).toBeLessThanOrEqual(12);
  });
});

describe("readPlace", () => {
  it("takes a sequence with or without its sign, and a date", () => {
    expect([readPlace(" #12 "), readPlace("12")]).toEqual([{ sequence: 12 }, { sequence: 12 }]);
    const end = readPlace("2026-11-30") as { before: string };
    expect(new Date(end.before).getTime()).toBe(new Date(2026, 11, 1).getTime());
  });

  it("takes nothing else", () => {
    for (const text of ["", "#", "yesterday", "2026-02-30", "2026-13-01", "12 34"])
      expect(readPlace(text)).toBeUndefined();
  });
});
