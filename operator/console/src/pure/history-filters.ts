/** The filters of a history: in the address, as the API takes them, and in words. Pure. */

export const STATUSES = ["Live", "Superseded", "Failed", "Progressing", "Pending"] as const;

export interface HistoryFilters {
  status: string[];
  created_by: string;
  version: string;
  runtime: string;
  /** Moments, RFC 3339 UTC, so that a link means the same in every zone; empty for none. `until` is exclusive. */
  since: string;
  until: string;
  q: string;
}

export const NO_FILTERS: HistoryFilters = {
  status: [],
  created_by: "",
  version: "",
  runtime: "",
  since: "",
  until: "",
  q: "",
};

const TEXTS = ["created_by", "version", "runtime", "q"] as const;
const MOMENTS = ["since", "until"] as const;
export const SEARCH_MOST = 100;

/** The filters of an address. What is no filter, or not one that the API takes, is left out. */
export function readFilters(query: Record<string, string | undefined>): HistoryFilters {
  const found: HistoryFilters = { ...NO_FILTERS };
  const asked = (query.status ?? "").split(",");
  found.status = STATUSES.filter((each) => asked.includes(each));
  for (const name of TEXTS) found[name] = query[name] ?? "";
  found.q = found.q.slice(0, SEARCH_MOST);
  for (const name of MOMENTS) found[name] = momentOf(query[name] ?? "");
  return found;
}

function momentOf(text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}(T|$)/.test(text)) return "";
  const time = Date.parse(text);
  return Number.isNaN(time) ? "" : `${new Date(time).toISOString().slice(0, 19)}Z`;
}

/** The filters as the API takes them: what does not filter is left out. */
export function asQuery(filters: HistoryFilters): Record<string, string> {
  const query: Record<string, string> = {};
  if (filters.status.length > 0) query.status = filters.status.join(",");
  for (const name of [...TEXTS, ...MOMENTS]) if (filters[name]) query[name] = filters[name];
  return query;
}

/** What stands behind the path of an address: `?status=Failed`, or nothing. */
export function asSearch(filters: HistoryFilters): string {
  const search = new URLSearchParams(asQuery(filters)).toString();
  return search && `?${search}`;
}

export function isFiltered(filters: HistoryFilters): boolean {
  return Object.keys(asQuery(filters)).length > 0;
}

/** The filters in words, for a report: `status Failed or Pending · by anna@example.com`. `told`: how a moment is told. */
export function inWords(filters: HistoryFilters, told: (moment: string) => string): string {
  return [
    filters.status.length > 0 && `status ${filters.status.join(" or ")}`,
    filters.created_by && `created by ${filters.created_by}`,
    filters.version && `version ${filters.version}`,
    filters.runtime && `runtime ${filters.runtime}`,
    filters.since && `since ${told(filters.since)}`,
    filters.until && `before ${told(filters.until)}`,
    filters.q && `with the letters “${filters.q}”`,
  ]
    .filter(Boolean)
    .join(" · ");
}
