/** Which Apps the list of deployments shows, and in which order. Pure. */
import type { AppOfList, StatusWord } from "./shapes.ts";

export type Column = "name" | "project" | "version" | "status" | "hostname" | "deployed";

/** What the address of the list asks for. */
export interface Asked {
  q: string;
  status: StatusWord | "";
  sort: Column;
  isDescending: boolean;
}

/** The statuses, what needs a look first. */
export const WORDS: StatusWord[] = ["Failed", "Degraded", "Progressing", "Pending", "Live", "Asleep", "NotDeployed"];
const COLUMNS: Column[] = ["name", "project", "version", "status", "hostname", "deployed"];
const FIRST: Asked = { q: "", status: "", sort: "deployed", isDescending: true };
const LETTERS = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Reads the query of the address; what it does not know is as if it were not there. */
export function askedOf(query: Record<string, string>): Asked {
  const sort = (query.sort ?? "").replace(/^-/, "");
  const isKnown = COLUMNS.includes(sort as Column);
  return {
    q: query.q ?? "",
    status: WORDS.includes(query.status as StatusWord) ? (query.status as StatusWord) : "",
    sort: isKnown ? (sort as Column) : FIRST.sort,
    isDescending: isKnown ? (query.sort ?? "").startsWith("-") : FIRST.isDescending,
  };
}

/** The query of an address that asks so; what is not said is left out. */
export function queryOf(asked: Asked, project: string): string {
  const query = new URLSearchParams();
  if (project) query.set("project", project);
  if (asked.q) query.set("q", asked.q);
  if (asked.status) query.set("status", asked.status);
  if (asked.sort !== FIRST.sort || asked.isDescending !== FIRST.isDescending) {
    query.set("sort", `${asked.isDescending ? "-" : ""}${asked.sort}`);
  }
  return query.size ? `?${query}` : "";
}

/** The Apps that have every word of the search somewhere. */
export function searched(apps: AppOfList[], q: string): AppOfList[] {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return apps;
  return apps.filter((app) => {
    const text = [
      app.name,
      app.resource_name,
      app.namespace,
      app.environment,
      app.hostname,
      app.description,
      app.live?.version,
      app.workflow.name,
    ]
      .join("\n")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** How many Apps have each status, of those that have any. */
export function counted(apps: AppOfList[]): [StatusWord, number][] {
  return WORDS.map((word): [StatusWord, number] => [
    word,
    apps.filter((app) => app.status.word === word).length,
  ]).filter(([, count]) => count > 0);
}

/** In the order of a column. Whatever has nothing there comes last in both directions, and Apps that are alike stand by name. */
export function sorted(apps: AppOfList[], column: Column, isDescending: boolean): AppOfList[] {
  const keyed = apps.map((app) => ({ app, key: keyOf(app, column) }));
  keyed.sort((a, b) => {
    if (a.key === "" || b.key === "") return Number(a.key === "") - Number(b.key === "") || byName(a.app, b.app);
    const order = column === "deployed" ? Date.parse(a.key) - Date.parse(b.key) : LETTERS.compare(a.key, b.key);
    return (isDescending ? -order : order) || byName(a.app, b.app);
  });
  return keyed.map((each) => each.app);
}

/** When what is live was deployed; where nothing is yet, when the App was changed last. */
export function deployedAt(app: AppOfList): string | undefined {
  return app.live?.created_at ?? (app.latest_deployment_id ? app.updated_at : undefined);
}

function keyOf(app: AppOfList, column: Column): string {
  switch (column) {
    case "name":
      return app.name;
    case "project":
      return `${app.namespace} ${app.environment ?? ""}`;
    case "version":
      return app.live?.version ?? app.under_way?.version ?? "";
    case "status":
      return String(WORDS.indexOf(app.status.word));
    case "hostname":
      return app.hostname;
    case "deployed":
      return deployedAt(app) ?? "";
  }
}

function byName(a: AppOfList, b: AppOfList): number {
  return LETTERS.compare(a.name, b.name) || LETTERS.compare(a.id, b.id);
}
