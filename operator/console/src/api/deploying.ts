/** What the deploying dialogs read and write, by name. Each returns the data of an answer and throws Problem. */
import type {
  AppOfList,
  DeployBody,
  Deployment,
  Environment,
  NewAppBody,
  PreviewData,
  PromoteBody,
  PromotionData,
  Runtime,
} from "../pure/shapes.ts";
import { dataOf, GET, POST } from "./client.ts";

const ALL = { page_size: 500 } as const;

/** The Apps of a workflow. */
export const readAppsOf = (workflow: string, signal: AbortSignal): Promise<AppOfList[]> => {
  const params = { query: { ...ALL, workflow_id: workflow } };
  return dataOf(GET("/v1/apps", { params, signal }));
};

/** The Runtimes that may be named, newest first, and those that are deprecated among them. */
export const readRuntimes = (signal: AbortSignal): Promise<Runtime[]> =>
  dataOf(GET("/v1/runtimes", { params: { query: ALL }, signal }));

/** Where an App is, and where it can be promoted to. */
export const readEnvironments = (app: string, signal: AbortSignal): Promise<Environment[]> =>
  dataOf(GET("/v1/apps/{app_id}/environments", { params: { path: { app_id: app } }, signal }));

export const previewDeploy = (app: string, body: DeployBody, signal: AbortSignal): Promise<PreviewData> =>
  dataOf(POST("/v1/apps/{app_id}/deploy/preview", { params: { path: { app_id: app } }, body, signal }));

export const previewPromotion = (app: string, body: PromoteBody, signal: AbortSignal): Promise<PromotionData> =>
  dataOf(POST("/v1/apps/{app_id}/promote/preview", { params: { path: { app_id: app } }, body, signal }));

/** A write with its key: the same body with the same key is done once, however often it is sent. */
function keyed(key: string) {
  return { "Idempotency-Key": key };
}

export const deploy = (app: string, body: DeployBody, key: string): Promise<Deployment> =>
  dataOf(POST("/v1/apps/{app_id}/deploy", { params: { path: { app_id: app }, header: keyed(key) }, body }));

export const promote = (app: string, body: PromoteBody, key: string): Promise<Deployment> =>
  dataOf(POST("/v1/apps/{app_id}/promote", { params: { path: { app_id: app }, header: keyed(key) }, body }));

export const createApp = (body: NewAppBody, key: string): Promise<AppOfList> =>
  dataOf(POST("/v1/apps", { params: { header: keyed(key) }, body }));
