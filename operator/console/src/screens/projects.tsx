import { useLocation } from "preact-iso";
import { readProjects } from "../api/read.ts";
import { offered } from "../pure/projects.ts";
import { project } from "../state/project.ts";
import { useQuery } from "../state/query.ts";

/** Which project the lists show. */
export function ProjectSwitcher() {
  const { path, query, route } = useLocation();
  const found = offered(useQuery("projects", readProjects).data.value ?? [], project.value);
  const choose = (id: string) => {
    project.value = id;
    const isWorkflows = path.startsWith("/console/workflows");
    // A list goes on with its search, its filters and its order.
    const isList = path === "/console" || path === "/console/workflows";
    const { project: _before, ...others } = isList ? query : {};
    const asked = new URLSearchParams(id ? { project: id, ...others } : others);
    route(`${isWorkflows ? "/console/workflows" : "/console/"}${asked.size ? `?${asked}` : ""}`);
  };
  return (
    <label class="switcher">
      <span class="hidden-label">Project</span>
      <select class="input" value={project.value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">All projects</option>
        {found.map((each) => (
          <option key={each.id} value={each.id}>
            {each.name}
            {each.environment ? ` (${each.environment})` : ""}
          </option>
        ))}
      </select>
    </label>
  );
}
