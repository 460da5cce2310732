import { sentence } from "../pure/texts.ts";
import { Icon } from "./icons.tsx";

type Look = {
  tone: "good" | "bad" | "warn" | "busy" | "calm" | "past";
  shape: Parameters<typeof Icon>[0]["shape"];
  spins?: boolean;
  says?: string;
};

const LOOKS: Record<string, Look> = {
  Live: { tone: "good", shape: "check" },
  Progressing: { tone: "busy", shape: "ring", spins: true },
  Pending: { tone: "busy", shape: "clock" },
  Waiting: { tone: "warn", shape: "clock" },
  Failed: { tone: "bad", shape: "cross" },
  Superseded: { tone: "past", shape: "circle" },
  Rejected: { tone: "past", shape: "cross" },
  Withdrawn: { tone: "past", shape: "cross" },
  Overtaken: { tone: "past", shape: "circle" },
  Reverted: { tone: "bad", shape: "back" },
  Asleep: { tone: "calm", shape: "moon" },
  Degraded: { tone: "warn", shape: "warning" },
  Active: { tone: "good", shape: "clock" },
  Inactive: { tone: "past", shape: "circle" },
  Draft: { tone: "calm", shape: "circle" },
  Expired: { tone: "past", shape: "cross" },
  Running: { tone: "busy", shape: "ring", spins: true },
  Succeeded: { tone: "good", shape: "check" },
  Created: { tone: "busy", shape: "clock" },
  Started: { tone: "busy", shape: "ring", spins: true },
  Paused: { tone: "warn", shape: "clock" },
  Completed: { tone: "good", shape: "check" },
  delivered: { tone: "good", shape: "check" },
  refused: { tone: "warn", shape: "warning" },
  timed_out: { tone: "bad", shape: "clock" },
  cut_off: { tone: "bad", shape: "ring" },
  abandoned: { tone: "past", shape: "circle" },
  skipped: { tone: "past", shape: "circle" },
  regressed: { tone: "bad", shape: "warning" },
  improved: { tone: "good", shape: "check" },
  unchanged: { tone: "past", shape: "circle" },
  too_few_runs: { tone: "past", shape: "clock" },
  unknown: { tone: "past", shape: "circle", says: "Nothing to compare" },
  NotDeployed: { tone: "past", shape: "circle", says: "Not deployed" },
};

/** A status as it is read: `Not deployed`, `Timed out`. */
export function wordOf(word: string): string {
  return LOOKS[word]?.says ?? sentence(word.replaceAll("_", " "));
}

/** A status: icon, word and colour, never colour alone. */
export function Status({ word }: { word: string }) {
  const look = LOOKS[word] ?? LOOKS[wordOf(word)] ?? { tone: "past" as const, shape: "circle" as const };
  return (
    <span class={`status ${look.tone}`}>
      <Icon shape={look.shape} spins={look.spins} />
      {wordOf(word)}
    </span>
  );
}
