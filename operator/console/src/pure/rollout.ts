/** Where a rollout is: Pending → Progressing → Live, or Failed with what still serves. Pure. */
import { waitsOf } from "./guards.ts";
import { isUnderWay } from "./row-words.ts";
import type { OneDeployment, Pod } from "./shapes.ts";
import { withoutDot } from "./texts.ts";

export interface Step {
  name: "Pending" | "Progressing" | "Live" | "Failed";
  state: "done" | "now" | "todo" | "failed";
  /** What there is to say of it. */
  says: string;
}

export type Row = Pick<
  OneDeployment,
  "status" | "waits" | "ready" | "reason" | "conditions" | "duration_seconds" | "is_live" | "workflow_version"
>;

/** The three steps. `serving`: the version that answers calls now, where there is one. */
export function stepsOf(row: Row, serving: string | null | undefined): Step[] {
  const waits = row.conditions.find((each) => each.type === "Succeeded")?.message ?? "";
  const { status } = row;
  const pods = row.ready && `${row.ready.ready}/${row.ready.wanted} ready`;
  if (status === "Pending") {
    return [
      step("Pending", "now", waitsOf(row) ? "It waits" : waits),
      step("Progressing", "todo"),
      step("Live", "todo"),
    ];
  }
  if (status === "Progressing") {
    return [
      step("Pending", "done"),
      step("Progressing", "now", [pods, waits].filter(Boolean).join(": ")),
      step("Live", "todo"),
    ];
  }
  if (status === "Failed") {
    const stays = serving ? `${serving} still serves.` : "Nothing serves.";
    return [
      step("Pending", "done"),
      step("Progressing", "done"),
      step("Failed", "failed", [withoutDot(row.reason ?? waits), stays].filter(Boolean).join(". ")),
    ];
  }
  const version = row.workflow_version?.version ?? "It";
  const says = row.is_live ? `${version} serves` : serving ? `${serving} serves now` : "Something newer was deployed";
  return [step("Pending", "done"), step("Progressing", "done"), step("Live", "done", says)];
}

function step(name: Step["name"], state: Step["state"], says = ""): Step {
  return { name, state, says };
}

/** Why a pod is not ready while all is well with it. */
const STARTS = [null, "ContainerCreating", "PodInitializing", "NotReady"];
/** Milliseconds: a rollout's own deadline, where an App sets no other. */
const STARTS_WITHIN = 600_000;

/** How a pod is: one that starts is bad once its row has failed, or it has started for longer than a rollout may last. */
export function toneOfPod(
  { ready, reason, created_at }: Pick<Pod, "ready" | "reason" | "created_at">,
  row: Pick<Row, "status">,
  now: number,
): "good" | "busy" | "past" | "bad" {
  if (ready) return "good";
  if (reason === "Terminating") return "past";
  if (!STARTS.includes(reason) || row.status === "Failed") return "bad";
  return isUnderWay(row) || now - Date.parse(created_at) < STARTS_WITHIN ? "busy" : "bad";
}
