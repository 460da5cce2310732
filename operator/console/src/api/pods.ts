/** The pods of a row, and what they log. */
import type { Pod, PodLog } from "../pure/shapes.ts";
import { call, GET } from "./client.ts";

export const readPods = async (app: string, row: string, signal: AbortSignal): Promise<Pod[]> => {
  const path = { app_id: app, deployment_id: row };
  return (await call(GET("/v1/apps/{app_id}/deployments/{deployment_id}/pods", { params: { path }, signal }))).data;
};

/** `previous`: of the container that ran before the last restart. */
export const readLogs = async (
  app: string,
  row: string,
  pod: string,
  previous: boolean,
  lines: number,
  signal: AbortSignal,
): Promise<PodLog> => {
  const path = { app_id: app, deployment_id: row, pod };
  const params = { path, query: { lines, previous } };
  return (await call(GET("/v1/apps/{app_id}/deployments/{deployment_id}/pods/{pod}/logs", { params, signal }))).data;
};
