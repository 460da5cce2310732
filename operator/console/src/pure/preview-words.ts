/** What a preview says, in sentences: the same as kubectl dynamiq's. Pure. */

import { callerLines, readAloud } from "./callers.ts";
import type { Config, Resources } from "./config.ts";
import { computeInWords, scalingInWords, typeInWords } from "./config-words.ts";
import type { Schemas } from "./shapes.ts";
import { plural } from "./texts.ts";

export interface Side {
  row: string | null;
  sequence: number | null;
  version: string;
  flow_hash: string;
  runtime: string;
  runtime_name: string;
  image: string;
  config: Config;
  resources: Resources | null;
  restores: string | null;
}

export interface Preview {
  from: Side | null;
  to: Side;
  flow_diff: string;
  pods_restart: boolean;
  no_op: boolean;
  strategy: string;
  pods_warm: number | null;
  pods_to_start: number | null;
  asleep: boolean;
  under_way: string | null;
  open_run_notes: string[];
  callers: Schemas["Callers"] | null;
  warnings: string[];
  /** What would hold it. */
  guards: { message: string }[];
  /** What Git asks for waits after it. */
  begins_hold: boolean;
  bypass_reason: string | null;
}

export interface Pair {
  label: string;
  /** None where nothing is live. */
  from?: string;
  to: string;
}

/** From what to what, each part that an App runs by. */
export function pairsOf({ from, to }: Preview): Pair[] {
  const pair = (label: string, of: (side: Side, other?: Side) => string): Pair => ({
    label,
    from: from ? of(from, to) : undefined,
    to: of(to, from ?? undefined),
  });
  return [
    pair("Version", (side) => (side.sequence ? `${side.version} (#${side.sequence})` : side.version)),
    pair("Runtime", runtimeInWords),
    pair("Configuration", (side) => `${typeInWords(side.config.deployment_type)}, ${scalingInWords(side.config)}`),
    pair("Resources", (side) => computeInWords(side.resources) || "not said"),
  ];
}

/** Whether a pair tells of a change. That a row has a number, and one to come has none yet, is none. */
export function differs({ from, to }: Pair): boolean {
  return from !== undefined && from.replace(/ \(#\d+\)$/, "") !== to;
}

function runtimeInWords(side: Side, other?: Side): string {
  const isTold = !other || side.runtime !== other.runtime;
  if (isTold || (side.runtime_name === other.runtime_name && side.image === other.image)) return side.runtime;
  return `${side.runtime} (${side.runtime_name}, ${side.image})`;
}

export interface Consequence {
  kind: "calm" | "restart" | "attention";
  says: string;
}

/** What happens to pods and callers. `isNew`: the App is made by this. */
export function consequencesOf(preview: Preview): Consequence[] {
  const { from, to } = preview;
  const said: Consequence[] = [];
  if (preview.under_way) {
    said.push({ kind: "attention", says: `${preview.under_way} is being deployed and would be overtaken` });
  }
  if (preview.no_op) {
    said.push({
      kind: "attention",
      says: preview.under_way
        ? "Nothing else changes: that row deploys exactly this"
        : "Nothing changes: the App runs exactly this already, and a new row records it",
    });
  } else if (!from) said.push({ kind: "calm", says: "Pods will start" });
  else if (preview.strategy === "Switch" && (preview.pods_restart || preview.pods_warm)) said.push(moves(preview));
  else if (preview.pods_restart) {
    said.push({
      kind: "restart",
      says: "Pods restart: they are replaced one by one, and requests are still answered",
    });
  } else said.push({ kind: "calm", says: "No pod restarts" });
  said.push(...preview.open_run_notes.map((says) => ({ kind: "calm" as const, says })));
  said.push(...sleep(from, to), ...rulesOf(preview));
  if (preview.asleep && !preview.no_op) said.push({ kind: "calm", says: "The App is asleep, and wakes for this" });
  return said;
}

/** What the rules for deploys make of it. */
function rulesOf({ bypass_reason: reason, guards, begins_hold: holds }: Preview): Consequence[] {
  const said = guards.map(({ message }) => `It would wait: ${message}`);
  if (reason !== null) said.unshift(`It bypasses the guards: ${reason}`);
  if (holds) said.push("Changes from Git are on hold after it, until somebody resumes them");
  return said.map((says) => ({ kind: "attention", says }));
}

function moves({ pods_warm: warm, pods_to_start: toStart }: Preview): Consequence {
  if (warm === null) {
    return {
      kind: "restart",
      says: "New pods start beside those that serve, unless a standby is ready; when all are ready, calls move to them at once",
    };
  }
  const ready = `Standby: ${plural(warm, "pod")} ready`;
  if (!toStart) return { kind: "calm", says: `${ready}, no pod starts; calls move to them at once` };
  const start = `${plural(toStart, "pod")} start${toStart === 1 ? "s" : ""}`;
  return {
    kind: "restart",
    says: warm
      ? `${ready}, ${start} beside them; when all are ready, calls move to them at once`
      : `${start} beside those that serve; when all are ready, calls move to them at once`,
  };
}

function sleep(from: Side | null, to: Side): Consequence[] {
  const [before, after] = [from?.config.deployment_type, to.config.deployment_type];
  if (after === "serverless" && before !== "serverless") {
    return [{ kind: "calm", says: "The App sleeps while nobody calls, and the next call wakes it" }];
  }
  if (before === "serverless" && after !== "serverless") return [{ kind: "calm", says: "The App no longer sleeps" }];
  return [];
}

/** All of it in a sentence, for who does not see it change. */
export function summaryOf(preview: Preview): string {
  const { from, to } = preview;
  const versions = from ? `From ${from.version} to ${to.version}` : to.version;
  const callers = callerLines(preview.callers).map(readAloud);
  return [versions, ...consequencesOf(preview).map(({ says }) => says), ...callers, ...preview.warnings].join(". ");
}
