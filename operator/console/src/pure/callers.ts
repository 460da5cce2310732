/** Lists whom a version may break. The sentences are the API's, which kubectl dynamiq prints, too. Pure. */

import type { Schemas } from "./shapes.ts";

type Change = Schemas["CallerChange"];

export interface CallerLine extends Pick<Change, "name" | "message"> {
  /** `None`: no difference concerns a caller. */
  result: Change["result"] | "None";
  /** The word before the sentence; empty if it needs none. */
  mark: string;
}

const ORDER: CallerLine["result"][] = ["Breaking", "Unknown", "Compatible", "None"];
const UNKNOWN = "how many callers it may break is unknown";

/** Returns those that may break callers first, then the unknown ones; none if the API judges nothing. */
export function callerLines(callers: Schemas["Callers"] | null): CallerLine[] {
  if (!callers) return [];
  const { result: whole, days, unknown, changes } = callers;
  const lines: CallerLine[] = changes.map(({ result, name, message }) => {
    return { result, name, message, mark: result === "Compatible" ? "" : result };
  });
  // A result that is not Compatible never looks like one, even without a reason.
  if (unknown !== null || (whole !== "Compatible" && lines.every(({ mark }) => !mark))) {
    lines.push({
      result: "Unknown",
      name: "",
      mark: "",
      message: unknown === null ? UNKNOWN : `${UNKNOWN}: ${unknown}`,
    });
  }
  if (lines.length === 0) {
    // Runs may lack a field that the live version reads, too: that is no difference.
    const message = `No difference in what it reads and answers concerns a caller of the last ${days} days`;
    lines.push({ result: "None", name: "", mark: "", message });
  }
  return lines.sort((a, b) => ORDER.indexOf(a.result) - ORDER.indexOf(b.result));
}

/** Splits a sentence at the name that a user chose: before it, the name without backticks, after it. */
export function aroundName({ name, message }: CallerLine): [string, string, string] {
  const quoted = `\`${name}\``;
  const at = name ? message.indexOf(quoted) : -1;
  return at < 0 ? [message, "", ""] : [message.slice(0, at), name, message.slice(at + quoted.length)];
}

/** Returns a line for screen readers, without backticks. */
export const readAloud = (line: CallerLine): string =>
  `${line.mark ? `${line.mark}: ` : ""}${aroundName(line).join("")}`;
