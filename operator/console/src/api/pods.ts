/** The pods of a row, and what they log. */
import type { Pod, PodLogs } from "./awaited.ts";
import { getAwaited } from "./client.ts";

export type { Pod, PodEvent, PodLogs } from "./awaited.ts";

const pods = (app: string, row: string) => `/v1/apps/${app}/deployments/${row}/pods`;

export const readPods = (app: string, row: string, signal: AbortSignal): Promise<Pod[]> =>
  getAwaited<Pod[]>(pods(app, row), signal);

/** `previous`: of the container that ran before the last restart. */
export const readLogs = (app: string, row: string, pod: string, previous: boolean, lines: number): Promise<PodLogs> =>
  getAwaited<PodLogs>(`${pods(app, row)}/${encodeURIComponent(pod)}/logs?lines=${lines}&previous=${previous}`);
