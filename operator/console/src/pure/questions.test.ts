import { describe, expect, it } from "vitest";
import {
  approval,
  feedback,
  hiddenIn,
  inSight,
  isWithoutContent,
  lackOf,
  NOTHING_CHOSEN,
  paramsOf,
  piecesOfText,
  withChoice,
  wrongParams,
} from "./questions.ts";
import type { AskedInParts, Question } from "./shapes.ts";

const asked = (parts: Partial<Question> = {}) =>
  ({ id: "pay:1", prompt: "Pay?", params: null, editable_params: [], questions: null, ...parts }) as Question;
const PAY = asked({
  params: { to: "Anna", amount: 40, iban: "DE1", tags: ["a"] },
  editable_params: ["amount", "to", "not there"],
});
const part = (parts: Partial<AskedInParts> = {}) =>
  ({ id: "tone", options: [{ label: "Kind" }, { label: "Short" }], multi_select: false, ...parts }) as AskedInParts;

describe("a text of a run", () => {
  it("keeps its lines and blanks, and shows what one would not see", () => {
    const text = "  pay\n\t<b>\u202e40\u202c</b>\r\n";
    expect(inSight(text)).toBe("  pay\n\t<b>U+202E40U+202C</b>U+000D\n");
    expect(piecesOfText(text).filter(({ kind }) => kind === "hidden")).toHaveLength(3);
    expect(hiddenIn(text)).toBe("Characters in it that cannot be seen: 3");
    expect(hiddenIn("two\nlines")).toBe("");
  });

  it("is absent for who may not read it, and not where it is empty", () => {
    expect(isWithoutContent(asked({ prompt: null }))).toBe(true);
    expect(isWithoutContent(asked({ prompt: "" }))).toBe(false);
    expect(isWithoutContent(asked({ prompt: null, params: {} }))).toBe(false);
  });
});

describe("an approval", () => {
  it("may change some params, and shows the others", () => {
    const { editable, fixed } = paramsOf(PAY);
    expect(editable.map(([name]) => name)).toEqual(["to", "amount"]);
    expect(fixed.map(([name]) => name)).toEqual(["iban", "tags"]);
  });

  it.each([
    [{}, undefined],
    [{ amount: "40", to: "Anna" }, undefined],
    [{ amount: "20.5" }, { amount: 20.5 }],
    [{ to: "12" }, { to: "12" }],
    [{ amount: "null" }, { amount: null }],
  ])("sends of %o what was changed: %o", (filled, data) => {
    expect(approval(PAY, true, " ", filled)).toEqual({ request_id: "pay:1", is_approved: true, data });
  });

  it("denies with a reason, and changes nothing then", () => {
    const data = { request_id: "pay:1", is_approved: false, feedback: "Too much" };
    expect(approval(PAY, false, " Too much\n", { amount: "20" })).toEqual(data);
  });

  it("takes no param that is not JSON, unless it is a text", () => {
    expect(Object.keys(wrongParams(PAY, { amount: "forty", to: "{" }))).toEqual(["amount"]);
    expect(wrongParams(PAY, { amount: '{"a": 1}' })).toEqual({});
  });
});

describe("one of several questions", () => {
  it("has one answer, or a text of one's own in its place", () => {
    expect(withChoice(part(), NOTHING_CHOSEN, "Kind")).toEqual({ selected: ["Kind"] });
    expect(withChoice(part(), { selected: ["Kind"] })).toEqual({ selected: [], own: "" });
    expect(withChoice(part(), { selected: [], own: "Loud" }, "Short")).toEqual({ selected: ["Short"] });
  });

  it("has many where it lets many, also beside a text", () => {
    const many = part({ multi_select: true });
    const both = withChoice(many, { selected: ["Kind"], own: "Loud" }, "Short");
    expect(both).toEqual({ selected: ["Kind", "Short"], own: "Loud" });
    expect(withChoice(many, both, "Kind")).toEqual({ selected: ["Short"], own: "Loud" });
    expect(withChoice(many, both)).toEqual({ selected: ["Kind", "Short"], own: undefined });
  });
});

describe("an answer", () => {
  const both = asked({ questions: [part(), part({ id: "copies", options: null })] });

  it.each([
    [asked(), " ", {}, "write an answer first"],
    [asked(), "Yes", {}, ""],
    [asked({ questions: [] }), "Yes", {}, ""],
    [both, "", { tone: { selected: ["Kind"] } }, "answer each question first"],
    [
      both,
      "",
      { tone: { selected: ["Kind"], own: " " }, copies: { selected: [], own: "x" } },
      "answer each question first",
    ],
    [both, "", { tone: { selected: ["Kind"] }, copies: { selected: [], own: "Sales" } }, ""],
  ])("of %o with %o, %o lacks: %s", (question, text, choices, lack) => {
    expect(lackOf(question, text, choices)).toBe(lack);
  });

  it("is the text as it was written, or what was chosen of each question", () => {
    expect(feedback(asked(), " Yes\n", {})).toEqual({ request_id: "pay:1", feedback: " Yes\n" });
    const choices = { tone: { selected: ["Kind"] }, copies: { selected: [], own: "Sales" } };
    expect(feedback(both, "", choices)).toEqual({
      request_id: "pay:1",
      answers: [
        { question_id: "tone", selected: ["Kind"] },
        { question_id: "copies", selected: [], custom_text: "Sales" },
      ],
    });
  });
});
