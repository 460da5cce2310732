/** Workflows, their drafts and releases: read and written, by name. Each throws Problem. */
import type { FlowDifference, ListedWorkflow, ProjectRights, Schemas, Version, Workflow } from "../pure/shapes.ts";
import { call, dataOf, GET, POST } from "./client.ts";

/** The newest releases of a workflow, and how many there are. */
export interface Versions {
  newest: Version[];
  total: number;
}

const MOST = 500;

export async function readWorkflows(project: string, signal: AbortSignal): Promise<ListedWorkflow[]> {
  const found: ListedWorkflow[] = [];
  for (let page = 1; ; page += 1) {
    const query = { page, page_size: MOST, with_newest_version: true, project_id: project || undefined };
    const answer = await call(GET("/v1/workflows", { params: { query }, signal }));
    found.push(...answer.data);
    if (page >= answer.pagination.page_count) return found;
  }
}

export const readWorkflow = (id: string, signal: AbortSignal): Promise<Workflow> =>
  dataOf(GET("/v1/workflows/{workflow_id}", { params: { path: { workflow_id: id } }, signal }));

/** The newest 500 releases of a workflow, newest first. */
export async function readVersions(workflow: string, signal: AbortSignal): Promise<Versions> {
  const params = { path: { workflow_id: workflow }, query: { page_size: MOST } };
  const answer = await call(GET("/v1/workflows/{workflow_id}/versions", { params, signal }));
  return { newest: answer.data, total: answer.pagination.total_count };
}

/** One release, however old. */
export const readVersion = async (workflow: string, id: string, signal: AbortSignal): Promise<Version> =>
  versionOf(workflow, id, (await readDifference(workflow, id, undefined, signal)).to);

/** A release as a list would say it, from what is said of it beside what changed in it. */
export const versionOf = (workflow: string, id: string, told: FlowDifference["to"]): Version => ({
  ...told,
  id,
  workflow_id: workflow,
  name: told.description,
});

/** What changed in the flow: from the version before, from the version `other`, or with `draft` from this version to the draft. */
export const readDifference = (
  workflow: string,
  version: string,
  other: string | undefined,
  signal: AbortSignal,
): Promise<FlowDifference> => {
  const params = { path: { workflow_id: workflow, version_id: version }, query: { with: other } };
  return dataOf(GET("/v1/workflows/{workflow_id}/versions/{version_id}/diff", { params, signal }));
};

export const readProjectRights = (project: string, signal: AbortSignal): Promise<ProjectRights> =>
  dataOf(GET("/v1/projects/{project_id}/rights", { params: { path: { project_id: project } }, signal }));

/** Releases the draft as the next version, unless it, or the newest version, is another than the one that was looked at. */
export const releaseDraft = (
  workflow: Workflow,
  before: string | null,
  description: string | undefined,
): Promise<Version> => {
  const params = { path: { workflow_id: workflow.id } };
  const body = { name: description, confirmed: { draft: workflow.object_version, before } };
  return dataOf(POST("/v1/workflows/{workflow_id}/release", { params, body: body as Schemas["NewVersion"] }));
};
