/** Shapes of the contract that the OpenAPI document does not have yet: each goes as soon as its endpoint is there. */

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

/** A Runtime that deploys may name. */
export interface Runtime {
  id: string;
  name: string;
  version: string;
  label: string | null;
  image: string;
  is_pinned_by_digest: boolean;
  deprecated: boolean;
  engine: string | null;
  created_at: string;
}

export type ProjectRights = Record<"create_app" | "release", Right>;

/** A namespace of the App's project: where the App is, or may be promoted to. */
export interface Environment {
  environment: string;
  project_id: string;
  project_name: string;
  is_own: boolean;
  app_id: string | null;
  live_version: string | null;
  hostname: string | null;
  needs_hostname: boolean;
  promote: Right;
}
