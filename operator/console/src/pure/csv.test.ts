import { describe, expect, it } from "vitest";
import { cell, lines } from "./csv.ts";

describe("cells", () => {
  it.each([
    ['=HYPERLINK("http://x","y")', `"'=HYPERLINK(""http://x"",""y"")"`],
    ["+1+1", `"'+1+1"`],
    ["-2+3+cmd|' /C calc'!A0", `"'-2+3+cmd|' /C calc'!A0"`],
    ["@SUM(A1)", `"'@SUM(A1)"`],
    ["\t=1", `"'\t'=1"`],
    ["\r=1", `"'\r'=1"`],
    ["＝1+1", `"'＝1+1"`],
    [" =1+1", `" '=1+1"`],
  ])("do not run %j", (given, written) => {
    expect(cell(given)).toBe(written);
  });

  it("do not run what a spreadsheet with other separators would take for a cell", () => {
    expect(cell("ok;=1+1")).toBe(`"ok;'=1+1"`);
    expect(cell('a",=1+1')).toBe(`"a"",'=1+1"`);
    expect(cell("a\n=1+1")).toBe(`"a\n'=1+1"`);
  });

  it("keep plain text and numbers as they are", () => {
    expect(["v3", "a - b", "1.4.0", "restores #3", 12, 0.5, true, null, undefined, ""].map(cell)).toEqual([
      "v3",
      "a - b",
      "1.4.0",
      "restores #3",
      "12",
      "0.5",
      "true",
      "",
      "",
      "",
    ]);
  });

  it("are quoted where a separator, a quote, a line or a blank at the edge is in them", () => {
    expect(['say "no"', "a, b", "two\nlines", " x"].map(cell)).toEqual([
      '"say ""no"""',
      '"a, b"',
      '"two\nlines"',
      '" x"',
    ]);
  });
});

it("lines end as RFC 4180 has it", () => {
  expect(
    lines([
      ["a", 1],
      ["b", null],
    ]),
  ).toBe("a,1\r\nb,\r\n");
});
