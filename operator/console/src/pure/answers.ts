/** What an error of a write says, sorted: what has changed since the preview, which field is wrong, and whether it may have been done. Pure. */
import type { Config, Resources } from "./config.ts";
import { computeInWords, configInWords } from "./config-words.ts";
import { sentence } from "./texts.ts";

/** As `Problem` has it. */
export interface Answered {
  status: number;
  message: string;
  details: Record<string, unknown>;
}

export interface Change {
  field: string;
  confirmed: string;
  now: string;
}

const LABELS: Record<string, string> = {
  version: "Version",
  flow_hash: "Flow",
  runtime: "Runtime",
  runtime_name: "Runtime (name)",
  image: "Image",
  config: "Configuration",
  resources: "Resources",
  restores: "Brings back",
  from: "Live",
  "from.version": "Live version",
  "from.sequence": "Live deployment",
  "from.row": "Live deployment",
  under_way: "Being deployed",
  guards: "What holds it",
  begins_hold: "Git waits after it",
};

interface Start {
  row: string | null;
  sequence: number | null;
  version: string;
}

/** What a deploy confirms of its preview: what would be deployed, over what is live, and what is under way. */
export function confirmedOf<T extends object, G>(preview: {
  from: Start | null;
  to: T;
  under_way: string | null;
  guards: G[];
  begins_hold: boolean;
}) {
  const { from, to, under_way, guards, begins_hold } = preview;
  const start = from && { row: from.row, sequence: from.sequence, version: from.version };
  return { ...to, from: start, under_way, guards, begins_hold };
}

/** What was confirmed and what is so now, by field; empty where the answer is about something else. */
export function changesOf({ status, details }: Answered): Change[] {
  if (status !== 409) return [];
  const found: Change[] = [];
  for (const [field, both] of Object.entries(details)) {
    if (typeof both !== "object" || both === null || !("confirmed" in both) || !("now" in both)) continue;
    // Its number tells which it is.
    if (field === "from.row" && details["from.sequence"]) continue;
    found.push({
      field: LABELS[field] ?? field,
      confirmed: inWords(field, both.confirmed),
      now: inWords(field, both.now),
    });
  }
  return found;
}

function inWords(field: string, value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (field === "config") return configInWords(value as Config);
  if (field === "from") {
    const { version, sequence, row } = value as Start;
    return `${version} (${sequence ? `#${sequence}` : row})`;
  }
  if (field === "from.sequence") return `#${value}`;
  if (field === "guards") return (value as { message: string }[]).map(({ message }) => message).join("; ") || "nothing";
  if (field === "begins_hold") return value ? "yes" : "no";
  if (field === "resources") return computeInWords(value as Resources) || "nothing";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What is wrong with which of the fields that the form shows; `rest`: what is said of anything else, or of all of it. */
export function fieldsWrong(
  problem: Answered,
  known: readonly string[],
): { fields: Record<string, string>; rest: string } {
  const fields: Record<string, string> = {};
  const details = Object.entries(problem.details).filter(([, said]) => typeof said === "string") as [string, string][];
  if (problem.status !== 422 && problem.status !== 409 && problem.status !== 404)
    return { fields, rest: problem.message };
  for (const [field, said] of details) {
    const shown = known.find((each) => each === field) ?? known.find((each) => field.startsWith(`${each}.`));
    if (shown === undefined) return { fields, rest: problem.message };
    // `taken` and `unknown` say which field: the message says what is wrong with it.
    fields[shown] = /^[a-z_]+$/.test(said) ? problem.message : sentence(said);
  }
  return { fields, rest: details.length > 0 ? "" : problem.message };
}

/** What to show at the fields: what is wrong as they stand now, before what was told of them. */
export function shownWrong(now: Record<string, string>, told: Record<string, string> = {}): Record<string, string> {
  return { ...told, ...Object.fromEntries(Object.entries(now).filter(([, said]) => said)) };
}

/** Whether a write may have been done although no answer says so. */
export function isUncertain({ status }: Answered): boolean {
  return status === 0 || status === 502 || status === 503 || status === 504;
}
