/** Rows of a history in words. Pure. */
import type { Config, Resources } from "./config.ts";
import { computeInWords, scalingInWords, typeInWords } from "./config-words.ts";
import type { Row } from "./shapes.ts";
import { sentence } from "./texts.ts";

/** `#12`; a row that the operator has not taken up yet has its name alone. */
export function numberOf(row: { sequence: number | null; name: string }): string {
  return row.sequence === null ? row.name : `#${row.sequence}`;
}

/** `v3 (#12)`. */
export function titleOf(row: Pick<Row, "sequence" | "name" | "workflow_version">): string {
  const version = row.workflow_version?.version;
  return version ? `${version} (${numberOf(row)})` : numberOf(row);
}

/** How a row ended where its status does not tell, else its status. */
export function statusOf(row: Pick<Row, "status" | "ending">): string {
  return row.ending ?? row.status;
}

/** Whether an App can be brought back to a row: one that was live, and is not. */
export function canComeBack(row: Pick<Row, "status" | "reason" | "is_live">): boolean {
  return !row.is_live && (row.status === "Live" || (row.status === "Superseded" && row.reason === null));
}

/** `failed on 1.4.0 (#7)`, or reverted, of a version that did not last on a runtime; else nothing. `rows`: the newest first. */
export function failureOf(
  rows: readonly Pick<
    Row,
    "status" | "ending" | "reason" | "is_live" | "workflow_version_id" | "runtime" | "sequence" | "name"
  >[],
  versionId: string,
  runtime: string | null | undefined,
): string {
  const tried = rows.filter((row) => row.workflow_version_id === versionId && row.runtime?.version === runtime);
  // Once it has served, a row that failed did so for another reason than its version: its configuration, its cluster.
  const served = tried.find((row) => row.ending === "Reverted" || row.is_live || canComeBack(row));
  const bad = served ?? tried.find((row) => row.status === "Failed" && row.ending === null);
  if (!bad || (served && served.ending === null)) return "";
  return `${served ? "reverted" : "failed"} on ${runtime} (${numberOf(bad)})`;
}

/** Whether to ask if a row could be brought back: at first, and of one that could go back; an event of its own (`isTold`) changes nothing of that. */
export function asksBack(
  before: Pick<Row, "status" | "reason" | "is_live" | "deployable"> | undefined,
  isTold: boolean,
): boolean {
  return !before || (canComeBack(before) && !(isTold && before.deployable));
}

/** What an App serves, as far as a row is compared with it. */
interface Served {
  live: { version: string } | null;
  runtime: { version: string | null } | null;
  deployment_config: Row["deployment_config"];
}

/** What a row that can be brought back has of what the App serves: all of it, its version alone, or nothing to say. */
export function likeLive(
  row: Pick<Row, "status" | "reason" | "is_live" | "runtime" | "workflow_version" | "deployment_config">,
  { live, runtime, deployment_config }: Served,
): "same as live" | "same version as live" | "" {
  if (!canComeBack(row) || !live || row.workflow_version?.version !== live.version) return "";
  const isSameRuntime = Boolean(runtime?.version) && row.runtime?.version === runtime?.version;
  const isSame = isSameRuntime && wholeConfigOf(row.deployment_config) === wholeConfigOf(deployment_config);
  return isSame ? "same as live" : "same version as live";
}

/** How a row is run, and with what each pod is: what is left out reads as its default does. */
function wholeConfigOf(config: Row["deployment_config"]): string {
  return `${configOf(config)}; ${computeInWords(config.config.resources as Resources | null)}`;
}

/** Whether it goes on by itself. */
export function isUnderWay(row: Pick<Row, "status">): boolean {
  return row.status === "Pending" || row.status === "Progressing";
}

/** Where a row came from, as a sentence begins: `Restores #3`, `By spec.deploy`. */
export function provenanceOf(row: Pick<Row, "provenance">): string {
  return sentence(row.provenance ?? "");
}

/** How a row is run: `Server-based, 1 to 2 pods at 80 % CPU`. */
export function configOf(config: Row["deployment_config"]): string {
  return sentence(`${typeInWords(config.deployment_type)}, ${scalingInWords(config as Config)}`);
}

/** Whether an image is named by what is in it, and not by a tag that may move. */
export function isPinnedByDigest(image: string): boolean {
  return /@sha256:[0-9a-f]{64}$/.test(image);
}

const FIELDS: Record<string, string> = {
  bypass_reason: "Reason for the bypass",
  version: "Version",
  runtime: "Runtime",
  runtime_name: "Runtime resource",
  image: "Image",
  "deployment_config.deployment_type": "Type",
  "deployment_config.config.autoscaling.min_replicas": "Min replicas",
  "deployment_config.config.autoscaling.max_replicas": "Max replicas",
  "deployment_config.config.autoscaling.target_cpu_utilization_percentage": "Target CPU",
  "deployment_config.config.idle_seconds": "Asleep after (seconds)",
  "deployment_config.config.max_replicas": "Max replicas while awake",
  "deployment_config.config.hold_seconds": "A call waits (seconds)",
  "resources.requests.cpu": "CPU requested",
  "resources.requests.memory": "Memory requested",
  "resources.limits.cpu": "CPU limit",
  "resources.limits.memory": "Memory limit",
};

/** What a field of a comparison is called; its path where it has no name. */
export function fieldOf(path: string): string {
  return FIELDS[path] ?? path;
}
