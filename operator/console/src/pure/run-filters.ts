/** The filters of a list of runs, in the address and as the API takes them. Pure. */
import type { RunQuery } from "./shapes.ts";

export const RUN_STATUSES = ["succeeded", "failed", "refused", "timed_out", "cut_off", "abandoned"] as const;
export const SORTS = {
  "": "Newest first",
  started_at: "Oldest first",
  "-duration_ms": "Slowest first",
  "-cost_usd": "Dearest first",
} as const;

/** What is filled in as a text, by its name in the API and in the address. */
export const TEXTS = ["workflow_version", "trigger", "session_id", "user_id", "tag", "model", "error"] as const;
const NAMES = ["deployment_id", ...TEXTS, "from", "to", "min_duration_ms", "sort"] as const;

export type RunFilters = Partial<Record<(typeof NAMES)[number], string>> & { status?: string[] };

/** The filters of an address. What the API would not take is left out. */
export function readRunFilters(query: Record<string, string | undefined>): RunFilters {
  const found: RunFilters = {};
  const asked = (query.status ?? "").split(",");
  const status = RUN_STATUSES.filter((each) => asked.includes(each));
  if (status.length > 0) found.status = status;
  for (const name of NAMES) {
    const text = query[name];
    if (text && isTaken(name, text)) found[name] = text;
  }
  return found;
}

function isTaken(name: string, text: string): boolean {
  if (name === "from" || name === "to") return !Number.isNaN(Date.parse(text));
  return name === "min_duration_ms" ? Number(text) >= 0 : name !== "sort" || text in SORTS;
}

/** What stands behind the path of an address. */
export function asRunSearch({ status, ...texts }: RunFilters): string {
  const search = new URLSearchParams();
  if (status && status.length > 0) search.set("status", status.join(","));
  for (const [name, text] of Object.entries(texts)) if (text) search.set(name, text);
  return search.size > 0 ? `?${search}` : "";
}

export function asRunQuery(filters: RunFilters): RunQuery {
  const given = Object.entries(filters).filter(([, each]) => each?.length);
  return Object.fromEntries(given) as RunQuery;
}

export const isRunFiltered = ({ sort: _, ...filters }: RunFilters) => asRunSearch(filters) !== "";
