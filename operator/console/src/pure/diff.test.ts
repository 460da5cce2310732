import { describe, expect, it } from "vitest";
import { countHidden, type DiffLine, piecesOf, readDiff, visible } from "./diff.ts";

const UNIFIED = [
  "--- v1 (#1)",
  "+++ v2 (#2)",
  "@@ -1,4 +1,4 @@",
  ' name: "a"',
  "-temperature: 0.2",
  "+temperature: 0.7",
  " ",
  " end",
  "@@ -20 +20,2 @@",
  "--- was a list",
  "+++ is a list",
  "+more",
].join("\n");

describe("readDiff", () => {
  it("numbers each line as its file does, and counts added and removed ones", () => {
    const diff = readDiff(UNIFIED);
    expect([diff.from, diff.to, diff.added, diff.removed]).toEqual(["v1 (#1)", "v2 (#2)", 3, 2]);
    expect(diff.lines.slice(1, 6).map(({ kind, before, after, text }) => [kind, before, after, text])).toEqual([
      ["same", 1, 1, 'name: "a"'],
      ["removed", 2, undefined, "temperature: 0.2"],
      ["added", undefined, 2, "temperature: 0.7"],
      ["same", 3, 3, ""],
      ["same", 4, 4, "end"],
    ]);
  });

  it("takes a removed line that looks like a header for a line", () => {
    const lines = readDiff(UNIFIED).lines.slice(-3);
    expect(lines.map((line) => [line.kind, line.text])).toEqual([
      ["removed", "-- was a list"],
      ["added", "++ is a list"],
      ["added", "more"],
    ]);
  });

  it("marks what differs inside a line that stands for another", () => {
    const [old, fresh] = readDiff(UNIFIED).lines.slice(2, 4) as [DiffLine, DiffLine];
    expect(old.text.slice(...(old.differs as [number, number]))).toBe("2");
    expect(fresh.text.slice(...(fresh.differs as [number, number]))).toBe("7");
  });

  it("marks it where one line more was added, too", () => {
    const lines = readDiff("@@ -1 +1,2 @@\n-temperature: 0.2\n+temperature: 0.7\n+more: 1").lines;
    expect(lines.map((line) => line.differs)).toEqual([undefined, [15, 16], [15, 16], undefined]);
  });

  it("marks nothing where lines have little in common, and cuts no character in two", () => {
    const apart = readDiff("@@ -1 +1 @@\n-abc\n+xyz").lines;
    expect(apart[1]?.differs).toBeUndefined();
    const smiles = readDiff("@@ -1 +1 @@\n-say: 😀!\n+say: 😁!").lines;
    expect(smiles[1]?.text.slice(...(smiles[1].differs as [number, number]))).toBe("😀");
    expect(smiles[2]?.text.slice(...(smiles[2].differs as [number, number]))).toBe("😁");
  });

  it("keeps whatever else there is as notes, and takes no text for no lines", () => {
    expect(readDiff("").lines).toEqual([]);
    expect(readDiff("too large to compare").lines).toEqual([{ kind: "note", text: "too large to compare" }]);
  });
});

describe("visible", () => {
  it("names each invisible character and its effect", () => {
    expect(visible("if a\u202eb\u200bc")).toEqual([
      { text: "if a" },
      { text: "U+202E", kind: "hidden", name: "right-to-left override" },
      { text: "b" },
      { text: "U+200B", kind: "hidden", name: "zero width space" },
      { text: "c" },
    ]);
  });

  it("reads out letters that are hidden in tags, as they are given to language models", () => {
    const hidden = [...String.fromCodePoint(0xe0068, 0xe0069)].join("");
    expect(visible(`ok${hidden}`).map((piece) => piece.name)).toEqual([
      undefined,
      "hidden letter h",
      "hidden letter i",
    ]);
  });

  it.each([
    "\u0000",
    "\u001b",
    "\u007f",
    "\u0085",
    "\u00a0",
    "\u00ad",
    "\u061c",
    "\u180e",
    "\u2028",
    "\u3164",
    "\ufeff",
    "\ud800",
    "\u{e0101}",
  ])("tells %j", (character) => {
    expect(countHidden(`a${character}b`)).toBe(1);
  });

  it("leaves plain text, tabs, umlauts, other scripts and pictures as they are", () => {
    for (const text of ["a b\tc", "Grüße", "שלום", "日本語", "❤️"]) expect(visible(text)).toEqual([{ text }]);
  });
});

describe("piecesOf", () => {
  const long: DiffLine = { kind: "added", text: `${"a".repeat(5000)}X${"b".repeat(5000)}`, differs: [5000, 5001] };

  it("shows of a long line what is around the difference, and says how much it leaves out", () => {
    const pieces = piecesOf(long, 600);
    expect(pieces.map((piece) => piece.kind ?? (piece.differs ? "differs" : piece.text.length))).toEqual([
      "left-out",
      240,
      "differs",
      359,
      "left-out",
    ]);
    expect(pieces[0]?.text).toContain("4,760 characters");
    expect(
      piecesOf(long)
        .map((piece) => piece.text)
        .join(""),
    ).toBe(long.text);
  });

  it("shows blanks at the end of changed lines only", () => {
    expect(piecesOf({ kind: "added", text: "x: 1 \t" })).toEqual([{ text: "x: 1" }, { text: "·⇥", kind: "end" }]);
    expect(piecesOf({ kind: "same", text: "x: 1 " })).toEqual([{ text: "x: 1 " }]);
  });

  it("marks a hidden character that differs", () => {
    expect(piecesOf({ kind: "added", text: "a\u200bb", differs: [1, 2] })).toEqual([
      { text: "a" },
      { text: "U+200B", kind: "hidden", name: "zero width space", differs: true },
      { text: "b" },
    ]);
  });
});
