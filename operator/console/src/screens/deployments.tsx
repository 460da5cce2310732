import { readApps } from "../api/read.ts";
import { project } from "../state/project.ts";
import { useQuery } from "../state/query.ts";
import { Loaded } from "../ui/states.tsx";

export function DeploymentsScreen() {
  const apps = useQuery(`apps ${project.value}`, (signal) => readApps(project.value, signal));
  return (
    <Loaded query={apps}>
      {(found) => (
        <ul>
          {found.map((app) => (
            <li key={app.id}>
              <a href={`/console/apps/${app.id}`}>{app.name}</a>
            </li>
          ))}
        </ul>
      )}
    </Loaded>
  );
}
