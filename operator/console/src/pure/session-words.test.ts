import { expect, it } from "vitest";
import { lineOf, rowInWords, textIn } from "./session-words.ts";

it.each([
  ["Hello\n  there", "Hello there"],
  [{ question: "Where is my invoice?" }, "Where is my invoice?"],
  [{ question: "Where?", n: 1 }, '{ "question": "Where?", "n": 1 }'],
  [[1, 2], "[ 1, 2 ]"],
  [0, "0"],
  [null, ""],
  [undefined, ""],
  ["🦊".repeat(161), `${"🦊".repeat(160)}…`],
  [`${"a".repeat(159)}🦊b`, `${"a".repeat(159)}🦊…`],
  ["a".repeat(160), "a".repeat(160)],
])("%j is on one line %s", (value, line) => expect(lineOf(value)).toBe(line));

it("a text keeps its lines", () => expect(textIn({ input: "a\n b" })).toBe("a\n b"));

it.each([
  [{ sequence: 12, version: "v2" }, "v2 #12"],
  [{ sequence: 12, version: null }, "#12"],
  [null, "—"],
])("the row %j is %s", (row, says) => expect(rowInWords(row)).toBe(says));
