/** The runs of an App, from its recorder: read and written, by name. Each throws Problem. */
import type {
  BackgroundRun,
  GroupBy,
  Interval,
  Metrics,
  RowVerdict,
  RunComparison,
  RunPage,
  RunQuery,
  Schemas,
  Score,
  WholeRun,
} from "../pure/shapes.ts";
import { call, DELETE, dataOf, GET, POST } from "./client.ts";
import type { Problem } from "./problem.ts";

export type RunAct = "cancel" | "restart" | "release";

/** Whether the API has no recorder to ask, and will have none soon. */
export const isUnrecorded = (problem: Problem | undefined) => problem?.code === "no_recorder";

/** Recorded runs: only `open` gives another shape. */
export const readRuns = (app: string, query: RunQuery, signal?: AbortSignal): Promise<RunPage> =>
  call(
    GET("/v1/apps/{app_id}/runs", { params: { path: { app_id: app }, query: query as never }, signal }),
  ) as Promise<RunPage>;

/** The newest background runs that have not ended, and how many there are. */
export const readOpenRuns = (app: string, signal: AbortSignal) => {
  const params = { path: { app_id: app }, query: { open: "true", page_size: 100 } as const };
  return call(GET("/v1/apps/{app_id}/runs", { params, signal })) as Promise<Schemas["BackgroundRunPage"]>;
};

export const readOpenRun = (app_id: string, run_id: string, signal: AbortSignal): Promise<BackgroundRun> =>
  dataOf(GET("/v1/apps/{app_id}/runs/{run_id}", { params: { path: { app_id, run_id } }, signal }));

/** The events of a background run after one of them: at once where there are some, else in `wait` seconds. */
export const readRunEvents = (app_id: string, run_id: string, after: number, signal: AbortSignal) => {
  const params = { path: { app_id, run_id }, query: { after, wait: 5 } };
  return call(GET("/v1/apps/{app_id}/runs/{run_id}/events", { params, signal }));
};

/** What is done with a background run: `restart` begins a held one again on what is live, `release` lets it go on where it was. */
export const actOnRun = (app_id: string, run_id: string, act: RunAct): Promise<BackgroundRun> =>
  dataOf(POST(`/v1/apps/{app_id}/runs/{run_id}/${act}`, { params: { path: { app_id, run_id } } }));

export const readRun = (run: string, withContent: boolean, signal: AbortSignal): Promise<WholeRun> => {
  const params = { path: { run_id: run }, query: { include: withContent ? "content" : undefined } };
  return dataOf(GET("/v1/runs/{run_id}", { params, signal }));
};

export const deleteRun = async (run: string): Promise<void> => {
  await call(DELETE("/v1/runs/{run_id}", { params: { path: { run_id: run } } }));
};

export const scoreRun = (run: string, body: Schemas["NewScore"]): Promise<Score> =>
  dataOf(POST("/v1/runs/{run_id}/scores", { params: { path: { run_id: run } }, body }));

/** Of the last 24 hours, where no time is named. Only the product's own parameters, start_time and the rest, give another shape. */
export const readMetrics = (
  app: string,
  query: { from?: string; interval?: Interval; group_by?: GroupBy },
  signal: AbortSignal,
): Promise<Metrics> =>
  dataOf(GET("/v1/apps/{app_id}/metrics", { params: { path: { app_id: app }, query }, signal })) as Promise<Metrics>;

export const readVerdicts = (app: string, rows: string[], signal?: AbortSignal): Promise<RowVerdict[]> => {
  const params = { path: { app_id: app }, query: { deployment_id: rows } };
  return dataOf(GET("/v1/apps/{app_id}/verdicts", { params, signal }));
};

export const readRunComparison = (
  app: string,
  row: string,
  baseline: string | undefined,
  signal: AbortSignal,
): Promise<RunComparison> => {
  const params = { path: { app_id: app, deployment_id: row }, query: { baseline } };
  return dataOf(GET("/v1/apps/{app_id}/deployments/{deployment_id}/comparison", { params, signal }));
};
