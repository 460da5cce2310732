/** Sessions in words. Pure. */
import { rowOf } from "./run-words.ts";
import type { RunRow } from "./shapes.ts";

const CUT_AT = 160;

/** What a value says: a text as it is, that of an object with one text alone, else JSON. Empty where there is none. */
export function textIn(value: unknown): string {
  if (value == null) return "";
  if (typeof value === "string") return value;
  const parts = typeof value === "object" ? Object.values(value) : [];
  return parts.length === 1 && typeof parts[0] === "string" ? parts[0] : JSON.stringify(value, null, 2);
}

/** The same on one line, cut between two characters. */
export function lineOf(value: unknown): string {
  const line = textIn(value).replace(/\s+/g, " ").trim();
  const shown = [...line.slice(0, CUT_AT * 2)].slice(0, CUT_AT).join("");
  return shown.length < line.length ? `${shown}…` : shown;
}

/** `v2 #12`: the row that answered, where it is known. */
export const rowInWords = (row: RunRow | null) =>
  rowOf({ workflow_version: row?.version ?? null, sequence: row?.sequence ?? null });
