/** Answers to questions of background runs. Each throws Problem. */
import type { BackgroundRun, RunInput } from "../pure/shapes.ts";
import { dataOf, POST } from "./client.ts";

/** Answers a question of a run. The same answer again changes nothing. */
export const answerRun = (app_id: string, run_id: string, body: RunInput): Promise<BackgroundRun> =>
  dataOf(POST("/v1/apps/{app_id}/runs/{run_id}/input", { params: { path: { app_id, run_id } }, body }));
