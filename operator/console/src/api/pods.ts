/** The pods of a row, and what they log. */
import type { Pod, PodLog } from "../pure/shapes.ts";
import { dataOf, GET } from "./client.ts";

export const readPods = (app: string, row: string, signal: AbortSignal): Promise<Pod[]> => {
  const path = { app_id: app, deployment_id: row };
  return dataOf(GET("/v1/apps/{app_id}/deployments/{deployment_id}/pods", { params: { path }, signal }));
};

/** `previous`: of the container that ran before the last restart. */
export const readLogs = (
  app: string,
  row: string,
  pod: string,
  previous: boolean,
  lines: number,
  signal: AbortSignal,
): Promise<PodLog> => {
  const path = { app_id: app, deployment_id: row, pod };
  const params = { path, query: { lines, previous } };
  return dataOf(GET("/v1/apps/{app_id}/deployments/{deployment_id}/pods/{pod}/logs", { params, signal }));
};
