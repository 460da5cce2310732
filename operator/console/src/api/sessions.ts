/** Sessions of an App as its recorder has them. Each throws Problem. */
import { call, GET } from "./client.ts";

/** A page of sessions, that of the newest run first. */
export const readSessions = (app_id: string, page: number, signal: AbortSignal) =>
  call(GET("/v1/apps/{app_id}/sessions", { params: { path: { app_id }, query: { page, page_size: 50 } }, signal }));

/** A page of what was asked and answered in a session, oldest first. */
export const readMessages = (app_id: string, session_id: string, cursor: string | undefined, signal: AbortSignal) => {
  const params = { path: { app_id, session_id }, query: { page_size: 20, cursor } };
  return call(GET("/v1/apps/{app_id}/sessions/{session_id}/messages", { params, signal }));
};
