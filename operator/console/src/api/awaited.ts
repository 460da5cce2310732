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
