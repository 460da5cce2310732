/** Which screen an address of a workflow means, and whether the Deploy dialog lies over it. Pure. */

export interface WorkflowPlace {
  screen: "workflow" | "version" | "unknown";
  versionId?: string;
  isDeploying: boolean;
}

/** Reads what follows `/console/workflows/:id`, without the query. */
export function workflowPlace(rest: string): WorkflowPlace {
  const [first, second, third] = rest.split("/").filter(Boolean);
  if (first === undefined) return { screen: "workflow", isDeploying: false };
  if (first === "deploy" && second === undefined) return { screen: "workflow", isDeploying: true };
  if (first === "versions" && second !== undefined && third === undefined) {
    return { screen: "version", versionId: second, isDeploying: false };
  }
  return { screen: "unknown", isDeploying: false };
}
