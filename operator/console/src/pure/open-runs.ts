/** Background runs in words. Pure. */
import { titleOf } from "./row-words.ts";
import { NONE } from "./run-words.ts";
import type { BackgroundRun, Row } from "./shapes.ts";
import { moment } from "./time.ts";

/** `v2 (#12)`: the version of a run's flow, and its row if no other one has this flow. */
export function versionOf(run: Pick<BackgroundRun, "workflow_hash"> | undefined, rows: Row[] = []): string {
  const hash = run?.workflow_hash;
  const [row, other] = rows.filter(({ flow_hash }) => hash && flow_hash?.endsWith(hash));
  if (!row) return NONE;
  return other ? `${row.workflow_version?.version}` : titleOf(row);
}

type Waiting = Pick<BackgroundRun, "state" | "awaiting_input" | "resume_at" | "hold_reason">;

/** Why a run does nothing: `waits for a person`, `waits until 26 Nov 2026, 18:25:07`, `held: Rejected`. Empty where it does. */
export function waitOf({ state, awaiting_input, resume_at, hold_reason }: Waiting): string {
  if (state === "held") return `held: ${hold_reason}`;
  if (awaiting_input) return "waits for a person";
  return state === "waiting" && resume_at ? `waits until ${moment(resume_at)}` : "";
}

/** What a person can do with a held run but cancel it. The version of a rejected one never runs again. */
export function waysOn({ state, hold_reason }: Waiting): ("Restart" | "Release")[] {
  if (state !== "held") return [];
  return hold_reason === "Rejected" ? ["Restart"] : ["Restart", "Release"];
}
