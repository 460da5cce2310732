import { readProjects } from "../api/read.ts";
import { nameOf, offered, onlyOne } from "../pure/projects.ts";
import { useLocation } from "../state/location.tsx";
import { project } from "../state/project.ts";
import { useQuery } from "../state/query.ts";

/** Which project the lists show. */
export function ProjectSwitcher() {
  const { path, query, route } = useLocation();
  const projects = useQuery("projects", readProjects);
  const found = offered(projects.data.value ?? [], project.value);
  const only = onlyOne(found, project.value);
  const choose = (id: string) => {
    project.value = id;
    const isWorkflows = path.startsWith("/console/workflows");
    // A list goes on with its search, its filters and its order.
    const isList = path === "/console" || path === "/console/workflows";
    const { project: _before, ...others } = isList ? query : {};
    const asked = new URLSearchParams(id ? { project: id, ...others } : others);
    route(`${isWorkflows ? "/console/workflows" : "/console/"}${asked.size ? `?${asked}` : ""}`);
  };
  // Until it is known whether there is a choice, none is shown.
  if (projects.data.value === undefined && projects.problem.value === undefined) return <span class="switcher" />;
  if (only) {
    return (
      <span class="switcher only one-line" title={nameOf(only)}>
        <span class="hidden-label">Project </span>
        {nameOf(only)}
      </span>
    );
  }
  return (
    <label class="switcher">
      <span class="hidden-label">Project</span>
      <select class="input" value={project.value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">All projects</option>
        {found.map((each) => (
          <option key={each.id} value={each.id}>
            {nameOf(each)}
          </option>
        ))}
      </select>
    </label>
  );
}
