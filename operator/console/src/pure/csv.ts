/** Writes rows of a table as CSV that a spreadsheet may open: nothing in it is run. Pure. */

export type Cell = string | number | boolean | null | undefined;

// A cell that begins so is a formula, or a command, to a spreadsheet, which reads over blanks before it; so is what follows a separator, in one
// that takes another separator.
const RISKY = /(?<=(?:^|[;,|\t\r\n"])\s*)(?=[=+\-@\t\r＝＋－＠])/g;

/** One cell, quoted where it has to be. Text that would be a formula has an apostrophe before it. */
export function cell(value: Cell): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const safe = value.replace(RISKY, "'");
  return /[",;|\t\r\n']/.test(safe) || safe !== safe.trim() ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Lines of cells, each ended as RFC 4180 has it. */
export function lines(rows: Cell[][]): string {
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** What a file begins with, so that a spreadsheet reads it as UTF-8. */
export const BEGIN = "\ufeff";
