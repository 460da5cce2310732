/** What an App is configured with and its Access Keys: read and written, by name. Each throws Problem. */

import type { AccessKey, Configuration, ConfigurationChange, NewAccessKey, Schemas } from "../pure/shapes.ts";
import { call, DELETE, dataOf, GET, PATCH, POST } from "./client.ts";

export const readConfiguration = (app: string, signal: AbortSignal): Promise<Configuration> =>
  dataOf(GET("/v1/apps/{app_id}/configuration", { params: { path: { app_id: app } }, signal }));

/** Writes what changed, unless others changed the configuration since `object_version` was read. */
export const writeConfiguration = (app: string, body: ConfigurationChange): Promise<Configuration> => {
  const params = { path: { app_id: app } };
  return dataOf(PATCH("/v1/apps/{app_id}/configuration", { params, body: body as Schemas["ConfigurationChange"] }));
};

export const readKeys = (app: string, signal: AbortSignal): Promise<AccessKey[]> =>
  dataOf(GET("/v1/apps/{app_id}/access-keys", { params: { path: { app_id: app } }, signal }));

export const createKey = (app: string, name: string): Promise<NewAccessKey> =>
  dataOf(POST("/v1/apps/{app_id}/access-keys", { params: { path: { app_id: app } }, body: { name } }));

export const revokeKey = async (app: string, name: string): Promise<void> => {
  await call(DELETE("/v1/apps/{app_id}/access-keys/{name}", { params: { path: { app_id: app, name } } }));
};

export const deleteApp = async (app: string): Promise<void> => {
  await call(DELETE("/v1/apps/{app_id}", { params: { path: { app_id: app } } }));
};
