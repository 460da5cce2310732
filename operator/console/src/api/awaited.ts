/** Shapes of the contract that the OpenAPI document does not have yet: each goes as soon as its endpoint is there. */
import type { Right } from "../ui/action.tsx";

export type StatusWord = "Live" | "Asleep" | "Progressing" | "Pending" | "Failed" | "Degraded" | "NotDeployed";

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  since: string;
}

/** What lists of Apps tell beside the App itself. */
export interface ListedApp {
  namespace: string;
  resource_name: string;
  environment: string | null;
  status: { word: StatusWord; reason: string | null; message: string | null };
  live: null | { deployment_id: string; name: string; sequence: number; version: string; created_at: string };
  under_way: null | { deployment_id: string; name: string; sequence: number | null; version: string; status: string };
}

/** What one App tells beside that. */
export interface AppDetails extends ListedApp {
  conditions: Condition[];
  git: null | {
    workflow_version: string | null;
    runtime: string | null;
    message: string | null;
    changed_by: string | null;
    is_live: boolean;
  };
  warm: { version: string; sequence: number; pods_ready: number }[];
}

export type AppRights = Record<
  | "deploy"
  | "roll_back"
  | "promote"
  | "configure"
  | "delete"
  | "keys_read"
  | "keys_write"
  | "triggers"
  | "pods"
  | "logs",
  Right
>;

/** Pods of a row: how many are ready of how many wanted, and the version that still serves. */
export interface Ready {
  ready: number;
  wanted: number;
  serving: string | null;
}

export interface PodEvent {
  type: string;
  reason: string;
  message: string;
  count: number;
  last_at: string | null;
}

export interface Pod {
  name: string;
  phase: string;
  ready: boolean;
  restarts: number;
  reason: string | null;
  message: string | null;
  node: string | null;
  created_at: string;
  is_serving: boolean;
  events: PodEvent[];
}

export interface PodLogs {
  pod: string;
  lines: string[];
  is_cut: boolean;
  previous: boolean;
}
