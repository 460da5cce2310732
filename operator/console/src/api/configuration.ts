/** What an App is configured with and its Access Keys: read and written, by name. Each throws Problem. */
import type { Settings } from "../pure/settings.ts";

import { call, DELETE, GET, getAwaited, POST, writeAwaited } from "./client.ts";
import type { Schemas } from "./read.ts";

export interface Configuration extends Omit<Settings, "description" | "hostname"> {
  object_version: string;
  name: string | null;
  description: string | null;
  hostname: string | null;
  /** What writes this object beside people, such as `argocd`; null where nobody is known. */
  managed_by: string | null;
  /** Whether the operator has seen the App as it is; `problems` are of before, where not. */
  is_applied: boolean;
  /** What the operator cannot do of it, such as a hostname that another App has. */
  problems: Schemas["Condition"][];
}

export type AccessKey = Schemas["AccessKey"];
/** A key that was made a moment ago: its value is never told again. */
export type NewAccessKey = Schemas["MadeAccessKey"];

export const readConfiguration = (app: string, signal: AbortSignal): Promise<Configuration> =>
  getAwaited<Configuration>(`/v1/apps/${app}/configuration`, signal);

/** Writes what changed, unless others changed the App since `object_version` was read. */
export const writeConfiguration = (
  app: string,
  body: { object_version: string } & Partial<Settings>,
): Promise<Configuration> => writeAwaited<Configuration>("PATCH", `/v1/apps/${app}/configuration`, body);

export const readKeys = async (app: string, signal: AbortSignal): Promise<AccessKey[]> =>
  (await call(GET("/v1/apps/{app_id}/access-keys", { params: { path: { app_id: app } }, signal }))).data;

export const createKey = async (app: string, name: string): Promise<NewAccessKey> =>
  (await call(POST("/v1/apps/{app_id}/access-keys", { params: { path: { app_id: app } }, body: { name } }))).data;

export const revokeKey = async (app: string, name: string): Promise<void> => {
  await call(DELETE("/v1/apps/{app_id}/access-keys/{name}", { params: { path: { app_id: app, name } } }));
};

export const deleteApp = async (app: string): Promise<void> => {
  await call(DELETE("/v1/apps/{app_id}", { params: { path: { app_id: app } } }));
};
