/** What an App is configured with and its Access Keys: read and written, by name. Each throws Problem. */
import type { Settings } from "../pure/settings.ts";
import { call, DELETE, getAwaited, writeAwaited } from "./client.ts";

export interface Configuration extends Omit<Settings, "description" | "hostname"> {
  object_version: string;
  name: string | null;
  description: string | null;
  hostname: string | null;
  /** What writes this object beside people, such as `argocd`; null where nobody is known. */
  managed_by: string | null;
}

export interface AccessKey {
  name: string;
  begins: string;
}

/** A key that was made a moment ago: its value is never told again. */
export interface NewAccessKey extends AccessKey {
  value: string;
}

export const readConfiguration = (app: string, signal: AbortSignal): Promise<Configuration> =>
  getAwaited<Configuration>(`/v1/apps/${app}/configuration`, signal);

/** Writes what changed, unless others changed the App since `object_version` was read. */
export const writeConfiguration = (
  app: string,
  body: { object_version: string } & Partial<Settings>,
): Promise<Configuration> => writeAwaited<Configuration>("PATCH", `/v1/apps/${app}/configuration`, body);

export const readKeys = (app: string, signal: AbortSignal): Promise<AccessKey[]> =>
  getAwaited<AccessKey[]>(`/v1/apps/${app}/access-keys`, signal);

export const createKey = (app: string, name: string): Promise<NewAccessKey> =>
  writeAwaited<NewAccessKey>("POST", `/v1/apps/${app}/access-keys`, { name });

export const revokeKey = (app: string, name: string): Promise<void> =>
  writeAwaited<void>("DELETE", `/v1/apps/${app}/access-keys/${encodeURIComponent(name)}`);

export const deleteApp = async (app: string): Promise<void> => {
  await call(DELETE("/v1/apps/{app_id}", { params: { path: { app_id: app } } }));
};
