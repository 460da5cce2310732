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
import { call, GET, POST } from "./client.ts";

const ALL = { page_size: 500 } as const;

/** The Apps of a workflow. */
export const readAppsOf = async (workflow: string, signal: AbortSignal): Promise<AppOfList[]> => {
  const params = { query: { ...ALL, workflow_id: workflow } };
  return (await call(GET("/v1/apps", { params, signal }))).data;
};

/** The Runtimes that may be named, newest first, and those that are deprecated among them. */
export const readRuntimes = async (signal: AbortSignal): Promise<Runtime[]> =>
  (await call(GET("/v1/runtimes", { params: { query: ALL }, signal }))).data;

/** Where an App is, and where it can be promoted to. */
export const readEnvironments = async (app: string, signal: AbortSignal): Promise<Environment[]> =>
  (await call(GET("/v1/apps/{app_id}/environments", { params: { path: { app_id: app } }, signal }))).data;

export const previewDeploy = async (app: string, body: DeployBody, signal: AbortSignal): Promise<PreviewData> =>
  (await call(POST("/v1/apps/{app_id}/deploy/preview", { params: { path: { app_id: app } }, body, signal }))).data;

export const previewPromotion = async (app: string, body: PromoteBody, signal: AbortSignal): Promise<PromotionData> =>
  (await call(POST("/v1/apps/{app_id}/promote/preview", { params: { path: { app_id: app } }, body, signal }))).data;

/** A write with its key: the same body with the same key is done once, however often it is sent. */
function keyed(key: string) {
  return { "Idempotency-Key": key };
}

export const deploy = async (app: string, body: DeployBody, key: string): Promise<Deployment> =>
  (await call(POST("/v1/apps/{app_id}/deploy", { params: { path: { app_id: app }, header: keyed(key) }, body }))).data;

export const promote = async (app: string, body: PromoteBody, key: string): Promise<Deployment> =>
  (await call(POST("/v1/apps/{app_id}/promote", { params: { path: { app_id: app }, header: keyed(key) }, body }))).data;

export const createApp = async (body: NewAppBody, key: string): Promise<AppOfList> =>
  (await call(POST("/v1/apps", { params: { header: keyed(key) }, body }))).data;
