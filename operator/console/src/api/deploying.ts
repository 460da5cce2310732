/** What the deploying dialogs read and write, by name. Each returns the data of an answer and throws Problem. */
import type { Environment, ProjectRights, Runtime } from "./awaited.ts";
import { call, GET, getAwaited, POST } from "./client.ts";
import type { App, AppOfList, Deployment, Schemas } from "./read.ts";

export type Version = Schemas["Version"];
export type Workflow = Schemas["WorkflowDetail"];
export type PreviewData = Schemas["PreviewShape"];
export type PromotionData = Schemas["PromotionPreview"];
export type DeployBody = Schemas["NewDeployment"];
export type PromoteBody = Schemas["Promotion"];
export type NewAppBody = Schemas["NewApp"];

const ALL = { page_size: 500 } as const;

export const readWorkflow = async (id: string, signal: AbortSignal): Promise<Workflow> =>
  (await call(GET("/v1/workflows/{workflow_id}", { params: { path: { workflow_id: id } }, signal }))).data;

/** The releases of a workflow, newest first: the newest 500. */
export const readVersions = async (workflow: string, signal: AbortSignal): Promise<Version[]> => {
  const params = { path: { workflow_id: workflow }, query: ALL };
  return (await call(GET("/v1/workflows/{workflow_id}/versions", { params, signal }))).data;
};

/** The Apps of a workflow. */
export const readAppsOf = async (workflow: string, signal: AbortSignal): Promise<AppOfList[]> => {
  const params = { query: { ...ALL, workflow_id: workflow } };
  return (await call(GET("/v1/apps", { params, signal }))).data as AppOfList[];
};

export const readRow = (app: string, row: string, signal: AbortSignal): Promise<Deployment> =>
  getAwaited<Deployment>(`/v1/apps/${app}/deployments/${row}`, signal);

export const readRuntimes = (signal: AbortSignal): Promise<Runtime[]> =>
  getAwaited<Runtime[]>("/v1/runtimes?page_size=500", signal);

export const readEnvironments = (app: string, signal: AbortSignal): Promise<Environment[]> =>
  getAwaited<Environment[]>(`/v1/apps/${app}/environments`, signal);

export const readProjectRights = (project: string, signal: AbortSignal): Promise<ProjectRights> =>
  getAwaited<ProjectRights>(`/v1/projects/${project}/rights`, signal);

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

export const createApp = async (body: NewAppBody, key: string): Promise<App> =>
  (await call(POST("/v1/apps", { params: { header: keyed(key) }, body }))).data as App;
