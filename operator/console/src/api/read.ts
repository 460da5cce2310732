/** What the screens read, by name. Each returns the data of an answer and throws Problem. */
import { call, GET } from "./client.ts";
import type { components } from "./schema.d.ts";

export type Schemas = components["schemas"];
export type App = Schemas["App"];
export type Deployment = Schemas["Deployment"];
export type Project = Schemas["Project"];

const ALL = { page_size: 500 } as const;

export const readProjects = async (signal: AbortSignal): Promise<Project[]> =>
  (await call(GET("/v1/projects", { params: { query: ALL }, signal }))).data;

export const readApps = async (project: string, signal: AbortSignal): Promise<App[]> =>
  (await call(GET("/v1/apps", { params: { query: { ...ALL, project_id: project || undefined } }, signal }))).data;

export const readApp = async (id: string, signal: AbortSignal): Promise<App> =>
  (await call(GET("/v1/apps/{app_id}", { params: { path: { app_id: id } }, signal }))).data;
