/** Which screen an address of an App means, and which dialog lies over it. Pure. */

export type AppTab = "overview" | "history" | "runs" | "sessions" | "monitoring" | "configuration" | "triggers";

export interface AppPlace {
  /** What fills the page; undefined: whatever was there before, else `tab`. */
  screen: AppTab | "compare" | "rollout" | "unknown";
  /** The tab that is marked. */
  tab: AppTab;
  /** The dialog over it. It lets the screen below stay as it is. */
  dialog?: "deploy" | "promote" | "row" | "roll-back" | "review" | "run";
  /** The row that the screen or the dialog is about. */
  rowId?: string;
  /** The run that the dialog is about. */
  runId?: string;
}

/** Reads what follows `/console/apps/:id`, without the query. */
export function appPlace(rest: string): AppPlace {
  const [first = "", second, third, fourth] = rest.split("/").filter(Boolean);
  if (fourth !== undefined) return UNKNOWN;
  const isAlone = second === undefined;
  if (first === "") return { screen: "overview", tab: "overview" };
  if (first === "history" && (third === "roll-back" || third === "review")) {
    return { screen: "history", tab: "history", dialog: third, rowId: second };
  }
  if (third !== undefined) return UNKNOWN;
  if (first === "history") {
    return isAlone
      ? { screen: "history", tab: "history" }
      : { screen: "history", tab: "history", dialog: "row", rowId: second };
  }
  if (first === "runs") return { screen: first, tab: first, ...(!isAlone && { dialog: "run", runId: second }) };
  if (first === "rollouts" && !isAlone) return { screen: "rollout", tab: "history", rowId: second };
  if (!isAlone) return UNKNOWN;
  if (first === "compare") return { screen: "compare", tab: "history" };
  if (OTHERS.includes(first as AppTab)) return { screen: first as AppTab, tab: first as AppTab };
  if (first === "deploy" || first === "promote") return { screen: "overview", tab: "overview", dialog: first };
  return UNKNOWN;
}

const OTHERS: AppTab[] = ["sessions", "monitoring", "configuration", "triggers"];
const UNKNOWN: AppPlace = { screen: "unknown", tab: "overview" };
