/** Conditions of an App for a person: which needs a look, and in words. Pure. */
import type { Condition } from "./shapes.ts";

export type Tone = "bad" | "warn" | "busy" | "calm" | "good" | "past";
const ORDER: Tone[] = ["bad", "warn", "busy", "calm", "good", "past"];

/** What a row that waits has its App's Progressing say. */
const WAITS: Record<string, Tone> = {
  Held: "warn",
  AwaitingApproval: "warn",
  Frozen: "warn",
  Soaking: "warn",
  Suspended: "warn",
  GuardsUnknown: "warn",
};

/** Conditions whose True is no good news by itself, with what True and False mean. The last word: reasons of False that need a look. */
const OTHERS: Record<string, { True: Tone; False: Tone; worse?: Record<string, Tone> }> = {
  Progressing: { True: "busy", False: "bad", worse: { Settled: "past", ...WAITS } },
  DeploySpecOverridden: { True: "warn", False: "past" },
  Asleep: { True: "calm", False: "past" },
  Warm: { True: "good", False: "past" },
  Recorded: { True: "good", False: "warn" },
  Trial: {
    True: "busy",
    False: "past",
    worse: { Reverted: "warn", Reverting: "warn", NotReverted: "bad", NothingToRestore: "bad" },
  },
  ReconcileFailed: { True: "bad", False: "past" },
  StrategyChanging: { True: "busy", False: "past" },
};

export function toneOf({ type, status, reason }: Condition): Tone {
  if (status === "Unknown") return "warn";
  const other = OTHERS[type];
  if (other === undefined) return status === "True" ? "good" : reason === "NotDeployed" ? "past" : "bad";
  return (status === "False" && other.worse?.[reason ?? ""]) || other[status];
}

/** What needs a look first; alike ones as the cluster has them, Ready before all. */
export function sortedConditions(conditions: Condition[]): Condition[] {
  const rank = (each: Condition) => ORDER.indexOf(toneOf(each)) * 2 + Number(each.type !== "Ready");
  return conditions.toSorted((a, b) => rank(a) - rank(b));
}

/** `ChildrenApplied` as `Children applied`. */
export function spaced(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").split(" ");
  return words.map((word, place) => (place === 0 || /^[A-Z]{2}/.test(word) ? word : word.toLowerCase())).join(" ");
}
