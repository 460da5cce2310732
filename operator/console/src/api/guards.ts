/** Rules for deploys: rows that wait and what is said of them, rejected versions, suspension. Each call returns the data of an answer and throws Problem. */
import type { App, Approval, Rejection, Schemas, WaitingPreview, Word } from "../pure/shapes.ts";
import { dataOf, GET, POST } from "./client.ts";

/** What a row that waits would do, over what is live now. */
export const previewWaiting = (app: string, row: string, signal: AbortSignal): Promise<WaitingPreview> => {
  const path = { app_id: app, deployment_id: row };
  return dataOf(GET("/v1/apps/{app_id}/deployments/{deployment_id}/preview", { params: { path }, signal }));
};

/** What was said of a row, oldest first. */
export const readApprovals = (app: string, row: string, signal: AbortSignal): Promise<Approval[]> => {
  const path = { app_id: app, deployment_id: row };
  return dataOf(GET("/v1/apps/{app_id}/deployments/{deployment_id}/approvals", { params: { path }, signal }));
};

/** Approves, resumes, rejects or withdraws a row: the same word with the same key is given once. */
export const say = (app: string, row: string, word: Word, key: string): Promise<Schemas["MadeApproval"]> => {
  const params = { path: { app_id: app, deployment_id: row }, header: { "Idempotency-Key": key } };
  return dataOf(POST("/v1/apps/{app_id}/deployments/{deployment_id}/approvals", { params, body: { ...word } }));
};

/** What was rejected of an App's workflow, newest first. */
export const readRejections = (app: string, signal: AbortSignal): Promise<Rejection[]> =>
  dataOf(GET("/v1/apps/{app_id}/rejections", { params: { path: { app_id: app } }, signal }));

export const rejectVersion = (app: string, body: Schemas["NewRejection"]): Promise<Rejection> =>
  dataOf(POST("/v1/apps/{app_id}/rejections", { params: { path: { app_id: app } }, body }));

export const withdrawRejection = (app: string, rejection: string, reason: string): Promise<Rejection> => {
  const params = { path: { app_id: app, rejection_id: rejection } };
  return dataOf(POST("/v1/apps/{app_id}/rejections/{rejection_id}/withdraw", { params, body: { reason } }));
};

/** Deploys nothing of an App until that is taken off; or takes it off. */
export const suspend = (app: string, is: boolean): Promise<App> => {
  const params = { path: { app_id: app } };
  return dataOf(is ? POST("/v1/apps/{app_id}/suspend", { params }) : POST("/v1/apps/{app_id}/unsuspend", { params }));
};
