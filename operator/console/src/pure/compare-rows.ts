/** Two rows of a history, field by field. Pure. */
import { provenanceOf, statusOf } from "./row-words.ts";
import type { WholeRow } from "./shapes.ts";

export interface ComparedField {
  label: string;
  from: string;
  to: string;
  differs: boolean;
  /** Left out of what counts as a difference: two rows always differ in it. */
  isOwn?: boolean;
  /** A time, RFC 3339, which a screen tells in its own way. */
  isTime?: boolean;
}

type Told = (row: WholeRow) => string | number | null | undefined;

const OWN: [string, Told][] = [
  ["Status", statusOf],
  ["Reason", (row) => row.reason],
  ["Created by", (row) => row.created_by?.username],
  ["Date", (row) => row.created_at],
  ["Message", (row) => row.message],
  ["Provenance", provenanceOf],
];

const FIELDS: [string, Told][] = [
  ["Version", (row) => row.workflow_version?.version],
  ["Description", (row) => row.workflow_version?.description],
  ["Flow", (row) => row.pinned?.workflowHash],
  ["Runtime", (row) => row.runtime?.version],
  ["Runtime resource", (row) => row.pinned?.runtime.name],
  ["Image", (row) => row.pinned?.runtime.image],
  ["Type", (row) => (row.deployment_config.deployment_type === "serverless" ? "Serverless" : "Server-based")],
  ["Min replicas", (row) => row.deployment_config.config.autoscaling?.min_replicas],
  ["Max replicas", (row) => maxOf(row)],
  ["Target CPU (%)", (row) => row.deployment_config.config.autoscaling?.target_cpu_utilization_percentage],
  ["Asleep after (s)", (row) => row.deployment_config.config.idle_seconds],
  ["A call waits (s)", (row) => row.deployment_config.config.hold_seconds],
  ["CPU requested", (row) => row.deployment_config.config.resources?.requests?.cpu],
  ["Memory requested", (row) => row.deployment_config.config.resources?.requests?.memory],
  ["CPU limit", (row) => row.deployment_config.config.resources?.limits?.cpu],
  ["Memory limit", (row) => row.deployment_config.config.resources?.limits?.memory],
];

function maxOf(row: WholeRow): number | null | undefined {
  const { autoscaling, max_replicas } = row.deployment_config.config;
  return autoscaling?.max_replicas ?? max_replicas;
}

/** What two rows run and how, side by side, and then what is each row's own. What neither has is left out. */
export function compareRows(from: WholeRow, to: WholeRow): ComparedField[] {
  const told = (fields: [string, Told][], isOwn: boolean) =>
    fields.map(([label, tell]): ComparedField => {
      const [left, right] = [`${tell(from) ?? ""}`, `${tell(to) ?? ""}`];
      return { label, from: left, to: right, differs: left !== right, isOwn, isTime: label === "Date" };
    });
  return [...told(FIELDS, false), ...told(OWN, true)].filter((field) => field.from !== "" || field.to !== "");
}
