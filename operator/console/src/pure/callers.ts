/** Whom a version may break, in lines. The sentences are the API's, which kubectl dynamiq prints, too. Pure. */

import type { Schemas } from "./shapes.ts";

type Change = Schemas["CallerChange"];

export interface CallerLine extends Pick<Change, "name" | "message"> {
  /** `None`: the version differs in nothing that callers know of. */
  result: Change["result"] | "None";
  /** The word before the sentence, where that does not tell what it means. */
  mark: string;
}

const ORDER: CallerLine["result"][] = ["Breaking", "Unknown", "Compatible", "None"];
const UNKNOWN = "how many callers it may break is unknown";

/** What may break callers first, then what is unknown; none where the API judges nothing. */
export function callerLines(callers: Schemas["Callers"] | null): CallerLine[] {
  if (!callers) return [];
  const { result: whole, days, unknown, changes } = callers;
  const lines: CallerLine[] = changes.map(({ result, name, message }) => {
    return { result, name, message, mark: result === "Compatible" ? "" : result };
  });
  // Whatever is missing beside it: a result that is not Compatible never looks like one.
  if (unknown !== null || (whole !== "Compatible" && lines.every(({ mark }) => !mark))) {
    lines.push({
      result: "Unknown",
      name: "",
      mark: "",
      message: unknown === null ? UNKNOWN : `${UNKNOWN}: ${unknown}`,
    });
  }
  if (lines.length === 0) {
    // A field that the live version reads, too, may be missing in runs: that is no difference.
    const message = `No difference in what it reads and answers concerns a caller of the last ${days} days`;
    lines.push({ result: "None", name: "", mark: "", message });
  }
  return lines.sort((a, b) => ORDER.indexOf(a.result) - ORDER.indexOf(b.result));
}

/** A line as it is read aloud. */
export const readAloud = ({ mark, message }: CallerLine): string => (mark ? `${mark}: ${message}` : message);

/** The sentence before the name that a user chose, the name without its backticks, and the rest. */
export function aroundName({ name, message }: CallerLine): [string, string, string] {
  const quoted = `\`${name}\``;
  const at = name ? message.indexOf(quoted) : -1;
  return at < 0 ? [message, "", ""] : [message.slice(0, at), name, message.slice(at + quoted.length)];
}
