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
  Failed: { tone: "bad", shape: "cross" },
  Superseded: { tone: "past", shape: "circle" },
  Asleep: { tone: "calm", shape: "moon" },
  Degraded: { tone: "warn", shape: "warning" },
  Active: { tone: "good", shape: "clock" },
  Inactive: { tone: "past", shape: "circle" },
  Draft: { tone: "calm", shape: "circle" },
  Expired: { tone: "past", shape: "cross" },
  Running: { tone: "busy", shape: "ring", spins: true },
  Succeeded: { tone: "good", shape: "check" },
  NotDeployed: { tone: "past", shape: "circle", says: "Not deployed" },
};

/** A status as it is read: `Not deployed`. */
export function wordOf(word: string): string {
  return LOOKS[word]?.says ?? word;
}

/** A status: icon, word and colour, never colour alone. */
export function Status({ word }: { word: string }) {
  const look = LOOKS[word] ?? { tone: "past" as const, shape: "circle" as const };
  return (
    <span class={`status ${look.tone}`}>
      <Icon shape={look.shape} spins={look.spins} />
      {wordOf(word)}
    </span>
  );
}
