/** What an App is configured with and its Access Keys: read and written, by name. Each throws Problem. */

import type { AccessKey, Configuration, ConfigurationChange, NewAccessKey, Schemas } from "../pure/shapes.ts";
import { call, DELETE, GET, PATCH, POST } from "./client.ts";

export const readConfiguration = async (app: string, signal: AbortSignal): Promise<Configuration> =>
  (await call(GET("/v1/apps/{app_id}/configuration", { params: { path: { app_id: app } }, signal }))).data;

/** Writes what changed, unless others changed the configuration since `object_version` was read. */
export const writeConfiguration = async (app: string, body: ConfigurationChange): Promise<Configuration> => {
  const params = { path: { app_id: app } };
  return (
    await call(PATCH("/v1/apps/{app_id}/configuration", { params, body: body as Schemas["ConfigurationChange"] }))
  ).data;
};

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
