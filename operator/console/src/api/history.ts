/** What the history of an App is read with. Each returns the data of an answer and throws Problem. */
import { asQuery, type HistoryFilters } from "../pure/history-filters.ts";
import type { Comparison, FilterChoices, LiveAt, Row, Schemas, Verification } from "../pure/shapes.ts";
import { call, dataOf, GET } from "./client.ts";

export interface Page {
  rows: Row[];
  total: number;
  pages: number;
  /** Why rows of the archive are not among these, where the App has one and they are not. */
  lacks?: string;
}

/** One page of an App's history, the newest row first; `page` from 1. `withDeployable`: with whether each could be brought back, which takes the API more reads. */
export async function readHistory(
  app: string,
  filters: HistoryFilters,
  page: number,
  size: number,
  signal?: AbortSignal,
  withDeployable = false,
): Promise<Page> {
  const deployable = withDeployable || undefined;
  const params = { path: { app_id: app }, query: { page, page_size: size, deployable, ...asQuery(filters) } };
  const answer = await call(GET("/v1/apps/{app_id}/deployments", { params, signal }));
  const { total_count: total, page_count: pages } = answer.pagination;
  return { rows: answer.data, total, pages, lacks: answer.archive?.says ?? undefined };
}

export async function readFilterChoices(app: string, signal?: AbortSignal): Promise<FilterChoices> {
  const params = { path: { app_id: app } };
  return dataOf(GET("/v1/apps/{app_id}/deployments/filters", { params, signal }));
}

/** What to roll back to, or why there is nothing. */
export async function readLastGood(app: string, signal?: AbortSignal): Promise<Schemas["LastGood"]> {
  const params = { path: { app_id: app } };
  return dataOf(GET("/v1/apps/{app_id}/deployments/last-good", { params, signal }));
}

/** What changed to a row from another one; from the row before it where none is given. */
export async function readComparison(
  app: string,
  to: string,
  from?: string,
  signal?: AbortSignal,
): Promise<Comparison> {
  const params = { path: { app_id: app, deployment_id: to }, query: { with: from } };
  return dataOf(GET("/v1/apps/{app_id}/deployments/{deployment_id}/diff", { params, signal }));
}

/** Whether the history is as it was written; `expect`: a digest that some row must have. */
export async function readVerification(app: string, expect?: string, signal?: AbortSignal): Promise<Verification> {
  const params = { path: { app_id: app }, query: { expect } };
  return dataOf(GET("/v1/apps/{app_id}/verify", { params, signal }));
}

/** What the App served at a time, RFC 3339. */
export async function readLiveAt(app: string, time: string, signal?: AbortSignal): Promise<LiveAt> {
  const params = { path: { app_id: app }, query: { time } };
  return dataOf(GET("/v1/apps/{app_id}/at", { params, signal }));
}
