/** The triggers of an App: read and written, by name. Each throws Problem. */
import type { NewTrigger, Trigger, TriggerEvent } from "../pure/shapes.ts";
import { call, DELETE, GET, POST, PUT } from "./client.ts";

const EVENTS_SHOWN = 25;

export const readTriggers = async (app: string, signal: AbortSignal): Promise<Trigger[]> => {
  const params = { path: { app_id: app }, query: { page_size: 500 } };
  return (await call(GET("/v1/apps/{app_id}/triggers", { params, signal }))).data;
};

/** What a trigger has run last, newest first. */
export const readEvents = async (app: string, trigger: string, signal: AbortSignal): Promise<TriggerEvent[]> => {
  const params = { path: { app_id: app, trigger_id: trigger }, query: { page_size: EVENTS_SHOWN } };
  return (await call(GET("/v1/apps/{app_id}/triggers/{trigger_id}/events", { params, signal }))).data;
};

export const createTrigger = async (app: string, body: NewTrigger): Promise<Trigger> =>
  (await call(POST("/v1/apps/{app_id}/triggers", { params: { path: { app_id: app } }, body }))).data;

export const changeTrigger = async (app: string, trigger: string, body: NewTrigger): Promise<Trigger> =>
  (await call(PUT("/v1/apps/{app_id}/triggers/{trigger_id}", { params: paramsOf(app, trigger), body }))).data;

export const activateTrigger = async (app: string, trigger: string): Promise<Trigger> =>
  (await call(POST("/v1/apps/{app_id}/triggers/{trigger_id}/activate", { params: paramsOf(app, trigger) }))).data;

export const deactivateTrigger = async (app: string, trigger: string): Promise<Trigger> =>
  (await call(POST("/v1/apps/{app_id}/triggers/{trigger_id}/deactivate", { params: paramsOf(app, trigger) }))).data;

/** Runs an active trigger now. The same key is the same run. */
export const runTrigger = async (app: string, trigger: string, key: string): Promise<TriggerEvent> => {
  const params = { ...paramsOf(app, trigger), header: { "Idempotency-Key": key } };
  return (await call(POST("/v1/apps/{app_id}/triggers/{trigger_id}/run", { params }))).data;
};

export const deleteTrigger = async (app: string, trigger: string): Promise<void> => {
  await call(DELETE("/v1/apps/{app_id}/triggers/{trigger_id}", { params: { ...paramsOf(app, trigger) } }));
};

const paramsOf = (app: string, trigger: string) => ({ path: { app_id: app, trigger_id: trigger } });
