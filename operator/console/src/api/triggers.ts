/** The triggers of an App: read and written, by name. Each throws Problem. */
import type { NewTrigger, Trigger, TriggerEvent } from "../pure/shapes.ts";
import { call, DELETE, dataOf, GET, POST, PUT } from "./client.ts";

const EVENTS_SHOWN = 25;

export const readTriggers = (app: string, signal: AbortSignal): Promise<Trigger[]> => {
  const params = { path: { app_id: app }, query: { page_size: 500 } };
  return dataOf(GET("/v1/apps/{app_id}/triggers", { params, signal }));
};

/** What a trigger has run last, newest first. */
export const readEvents = (app: string, trigger: string, signal: AbortSignal): Promise<TriggerEvent[]> => {
  const params = { path: { app_id: app, trigger_id: trigger }, query: { page_size: EVENTS_SHOWN } };
  return dataOf(GET("/v1/apps/{app_id}/triggers/{trigger_id}/events", { params, signal }));
};

export const createTrigger = (app: string, body: NewTrigger): Promise<Trigger> =>
  dataOf(POST("/v1/apps/{app_id}/triggers", { params: { path: { app_id: app } }, body }));

export const changeTrigger = (app: string, trigger: string, body: NewTrigger): Promise<Trigger> =>
  dataOf(PUT("/v1/apps/{app_id}/triggers/{trigger_id}", { params: paramsOf(app, trigger), body }));

export const activateTrigger = (app: string, trigger: string): Promise<Trigger> =>
  dataOf(POST("/v1/apps/{app_id}/triggers/{trigger_id}/activate", { params: paramsOf(app, trigger) }));

export const deactivateTrigger = (app: string, trigger: string): Promise<Trigger> =>
  dataOf(POST("/v1/apps/{app_id}/triggers/{trigger_id}/deactivate", { params: paramsOf(app, trigger) }));

/** Runs an active trigger now. The same key is the same run. */
export const runTrigger = (app: string, trigger: string, key: string): Promise<TriggerEvent> => {
  const params = { ...paramsOf(app, trigger), header: { "Idempotency-Key": key } };
  return dataOf(POST("/v1/apps/{app_id}/triggers/{trigger_id}/run", { params }));
};

export const deleteTrigger = async (app: string, trigger: string): Promise<void> => {
  await call(DELETE("/v1/apps/{app_id}/triggers/{trigger_id}", { params: { ...paramsOf(app, trigger) } }));
};

const paramsOf = (app: string, trigger: string) => ({ path: { app_id: app, trigger_id: trigger } });
