/** What the screens read, by name. Each returns the data of an answer and throws Problem. */
import type { App, AppOfList, AppRights, Conversations, OneDeployment, Project } from "../pure/shapes.ts";
import { call, dataOf, GET } from "./client.ts";

export const readProjects = (signal: AbortSignal): Promise<Project[]> =>
  dataOf(GET("/v1/projects", { params: { query: { page_size: 500 } }, signal }));

/** Every App of a project, or of all that the caller may read: as many pages as there are. `newest`: only so many. */
export async function readApps(project: string, signal: AbortSignal, newest?: number): Promise<AppOfList[]> {
  const found: AppOfList[] = [];
  for (let page = 1; ; page += 1) {
    const query = { page_size: newest ?? 500, page, project_id: project || undefined };
    const answer = await call(GET("/v1/apps", { params: { query }, signal }));
    found.push(...answer.data);
    if (newest || page >= (answer.pagination?.page_count ?? 1)) return found;
  }
}

export const readApp = (id: string, signal: AbortSignal): Promise<App> =>
  dataOf(GET("/v1/apps/{app_id}", { params: { path: { app_id: id } }, signal }));

/** What the caller may do with an App, and which role is missing where they may not. */
export const readRights = (app: string, signal: AbortSignal): Promise<AppRights> =>
  dataOf(GET("/v1/apps/{app_id}/rights", { params: { path: { app_id: app } }, signal }));

/** The oldest open questions of an App's background runs, and how many there are. */
export const readQuestions = (app_id: string, signal: AbortSignal) =>
  call(GET("/v1/apps/{app_id}/questions", { params: { path: { app_id } }, signal }));

/** How many conversations belong to which row. */
export const readConversations = (app_id: string, signal: AbortSignal): Promise<Conversations[]> =>
  dataOf(GET("/v1/apps/{app_id}/conversations", { params: { path: { app_id } }, signal }));

/** One row, whole; `deployable`: with whether it could be brought back. */
export const readRow = (app: string, row: string, signal: AbortSignal, deployable?: true): Promise<OneDeployment> => {
  const path = { app_id: app, deployment_id: row };
  const params = { path, query: { deployable } };
  return dataOf(GET("/v1/apps/{app_id}/deployments/{deployment_id}", { params, signal }));
};
