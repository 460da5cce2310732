/** Workflows, their drafts and releases: read and written, by name. Each throws Problem. */
import { call, GET, POST } from "./client.ts";
import type { AppOfList, Schemas } from "./read.ts";

export type ListedWorkflow = Schemas["ListedWorkflow"];
export type Workflow = Schemas["WorkflowDetail"];
export type Version = Schemas["Version"];
export type FlowDifference = Schemas["FlowDifference"];
export type ProjectRights = Schemas["ProjectRights"];

interface Page<T> {
  data: T[];
  pagination?: { page_count: number };
}

/** Every item of a list: as many pages as there are. */
async function every<T>(read: (page: { page: number; page_size: number }) => Promise<Page<T>>): Promise<T[]> {
  const found: T[] = [];
  for (let page = 1; ; page += 1) {
    const answer = await read({ page, page_size: 500 });
    found.push(...answer.data);
    if (page >= (answer.pagination?.page_count ?? 1)) return found;
  }
}

export const readWorkflows = (project: string, signal: AbortSignal): Promise<ListedWorkflow[]> =>
  every((page) => {
    const query = { ...page, with_newest_version: true, project_id: project || undefined };
    return call(GET("/v1/workflows", { params: { query }, signal }));
  });

export const readWorkflow = async (id: string, signal: AbortSignal): Promise<Workflow> =>
  (await call(GET("/v1/workflows/{workflow_id}", { params: { path: { workflow_id: id } }, signal }))).data;

/** The releases of a workflow, newest first. */
export const readVersions = (workflow: string, signal: AbortSignal): Promise<Version[]> =>
  every((query) =>
    call(GET("/v1/workflows/{workflow_id}/versions", { params: { path: { workflow_id: workflow }, query }, signal })),
  );

/** The Apps of a workflow. */
export const readAppsOf = (workflow: string, signal: AbortSignal): Promise<AppOfList[]> =>
  every(async (page) => {
    const query = { ...page, workflow_id: workflow };
    return (await call(GET("/v1/apps", { params: { query }, signal }))) as Page<AppOfList>;
  });

/** What changed in the flow: from the version before, from the version `other`, or with `draft` from this version to the draft. */
export const readDifference = async (
  workflow: string,
  version: string,
  other: string | undefined,
  signal: AbortSignal,
): Promise<FlowDifference> => {
  const params = { path: { workflow_id: workflow, version_id: version }, query: { with: other } };
  return (await call(GET("/v1/workflows/{workflow_id}/versions/{version_id}/diff", { params, signal }))).data;
};

export const readProjectRights = async (project: string, signal: AbortSignal): Promise<ProjectRights> =>
  (await call(GET("/v1/projects/{project_id}/rights", { params: { path: { project_id: project } }, signal }))).data;

/** Releases the draft as the next version, unless it, or the newest version, is another than the one that was looked at. */
export const releaseDraft = async (
  workflow: Workflow,
  before: string | null,
  description: string | undefined,
): Promise<Version> => {
  const params = { path: { workflow_id: workflow.id } };
  const body = { name: description, confirmed: { draft: workflow.object_version, before } };
  return (await call(POST("/v1/workflows/{workflow_id}/release", { params, body: body as Schemas["NewVersion"] })))
    .data;
};
