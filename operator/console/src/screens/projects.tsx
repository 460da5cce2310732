import { useLocation } from "preact-iso";
import { readProjects } from "../api/read.ts";
import { inProject, project } from "../state/project.ts";
import { useQuery } from "../state/query.ts";

/** Which project the lists show. */
export function ProjectSwitcher() {
  const { path, route } = useLocation();
  const found = useQuery("projects", readProjects).data.value ?? [];
  const choose = (id: string) => {
    project.value = id;
    route(inProject(path.startsWith("/console/workflows") ? "/console/workflows" : "/console/"));
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
