/** Questions of runs to a person, and what a form answers. Pure. */
import { countHidden, type Piece, visible } from "./diff.ts";
import type { AskedInParts, Question, RunInput } from "./shapes.ts";

type Data = RunInput["data"];

/** Names a question among those of all runs. */
export const keyOf = ({ run_id, id }: Question) => `${run_id} ${id}`;

/** Whether the API left out what is asked: the caller may not read what runs are given. */
export const isWithoutContent = ({ prompt, params, questions }: Question) => (prompt ?? params ?? questions) == null;

/** A text in pieces as it is, with its lines and blanks; each character that one would not see is its code. */
export function piecesOfText(text: string): Piece[] {
  return text.split("\n").flatMap((line, at) => (at > 0 ? [{ text: "\n" }, ...visible(line)] : visible(line)));
}

/** The same as one text: for labels. */
export const inSight = (text: string) =>
  piecesOfText(text)
    .map((piece) => piece.text)
    .join("");

/** Says that a field holds characters that one would not see in it. */
export function hiddenIn(text: string): string {
  const hidden = text.split("\n").reduce((sum, line) => sum + countHidden(line), 0);
  return hidden > 0 ? `Characters in it that cannot be seen: ${hidden}` : "";
}

/** A value as a text: a string as it is, anything else as JSON. */
export const asText = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

/** The params of an approval by name: those that its answer may change, and the others. */
export function paramsOf({ params, editable_params }: Question) {
  const all = Object.entries(params ?? {});
  const isEditable = ([name]: [string, unknown]) => editable_params.includes(name);
  return { editable: all.filter(isEditable), fixed: all.filter((each) => !isEditable(each)) };
}

/** What is filled in for params, by name, where it is not as it was. */
export type Filled = Record<string, string>;

/** Says of each param that is no text why it cannot be sent as it is filled in. */
export function wrongParams({ params }: Question, filled: Filled): Filled {
  const wrong = Object.entries(filled).filter(([name, text]) => typeof params?.[name] !== "string" && !isJson(text));
  return Object.fromEntries(wrong.map(([name]) => [name, "This is not JSON, such as 12, true or [1, 2]"]));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The answer to an approval. Only params that were changed are sent: a number that JSON has and JavaScript has not stays as it is. */
export function approval({ id, params }: Question, is_approved: boolean, reason: string, filled: Filled): Data {
  const changed = Object.entries(filled)
    .filter(([name, text]) => text !== asText(params?.[name]))
    .map(([name, text]) => [name, typeof params?.[name] === "string" ? text : JSON.parse(text)]);
  return {
    request_id: id,
    is_approved,
    ...(reason.trim() && { feedback: reason.trim() }),
    ...(is_approved && changed.length > 0 && { data: Object.fromEntries(changed) }),
  };
}

/** What is chosen of one question of several, and the text of one's own; undefined: none is given. */
export interface Chosen {
  selected: string[];
  own?: string;
}

/** What was chosen, by the question's id. */
export type Choices = Record<string, Chosen>;
export const NOTHING_CHOSEN: Chosen = { selected: [] };

/** Whether only a text of one's own can answer it. */
export const isFree = ({ options }: AskedInParts) => !options?.length;

/** What is chosen once an option was pressed, or, without one, `Other`. */
export function withChoice({ multi_select }: AskedInParts, { selected, own }: Chosen, option?: string): Chosen {
  if (!multi_select) return option === undefined ? { selected: [], own: own ?? "" } : { selected: [option] };
  if (option === undefined) return { selected, own: own === undefined ? "" : undefined };
  const isChosen = selected.includes(option);
  return { selected: isChosen ? selected.filter((each) => each !== option) : [...selected, option], own };
}

/** Why an answer cannot be sent yet; empty where it can. */
export function lackOf({ questions }: Question, text: string, choices: Choices): string {
  if (!questions?.length) return text.trim() ? "" : "write an answer first";
  const isOpen = ({ id }: AskedInParts) => {
    const { selected, own } = choices[id] ?? NOTHING_CHOSEN;
    return own === undefined ? selected.length === 0 : !own.trim();
  };
  return questions.some(isOpen) ? "answer each question first" : "";
}

/** The answer to a question that is no approval. */
export function feedback({ id, questions }: Question, text: string, choices: Choices): Data {
  if (!questions?.length) return { request_id: id, feedback: text };
  const answers = questions.map((each) => {
    const { selected, own } = choices[each.id] ?? NOTHING_CHOSEN;
    return { question_id: each.id, selected, ...(own !== undefined && { custom_text: own }) };
  });
  return { request_id: id, answers };
}

const UNDONE: Record<string, string> = {
  already_answered: "Somebody else answered this question",
  forbidden: "You may not answer it: that takes update on apps/runcontents",
};

/** What is so where an answer was refused. */
export const undoneOf = (code = "") => UNDONE[code] ?? "The answer was not taken";
