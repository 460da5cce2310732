/** Callbacks of background runs. Each throws Problem. */
import type { BackgroundRun } from "../pure/shapes.ts";
import { dataOf, POST } from "./client.ts";

/** Sends a callback of an ended run once more, with the same webhook id. */
export const sendAgain = (app_id: string, run_id: string, n: number): Promise<BackgroundRun> =>
  dataOf(POST("/v1/apps/{app_id}/runs/{run_id}/callbacks", { params: { path: { app_id, run_id } }, body: { n } }));
