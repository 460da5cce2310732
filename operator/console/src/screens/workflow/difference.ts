import { readDifference } from "../../api/workflows.ts";
import type { FlowDifference, Workflow } from "../../pure/shapes.ts";
import { type Query, useQuery } from "../../state/query.ts";

/** Reads how the flow of a version differs from `other`: a version, or the draft; without it from the version before. Reads nothing without a version. */
export function useDifference(
  { id, object_version }: Workflow,
  version?: string,
  other?: string,
): Query<FlowDifference> {
  const key = version && `difference ${id} ${version} ${other ?? ""} ${other === "draft" ? object_version : ""}`;
  return useQuery(key, (signal) => readDifference(id, version as string, other, signal));
}
