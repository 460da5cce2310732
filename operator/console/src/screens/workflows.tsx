import { useMemo } from "preact/hooks";
import { readApps, readProjects } from "../api/read.ts";
import { readWorkflows } from "../api/workflows.ts";
import type { AppOfList, ListedWorkflow, Project } from "../pure/shapes.ts";
import { plural } from "../pure/texts.ts";
import { useLocation } from "../state/location.tsx";
import { project } from "../state/project.ts";
import { useQuery } from "../state/query.ts";
import { useProjectEvents } from "../state/watch.ts";
import { Action } from "../ui/action.tsx";
import { Columns } from "../ui/columns.tsx";
import { Command } from "../ui/copy.tsx";
import { useGrowing } from "../ui/growing.ts";
import { Icon } from "../ui/icons.tsx";
import { Empty, Loaded, Trouble } from "../ui/states.tsx";
import { Time } from "../ui/time.tsx";
import { useTitle } from "../ui/title.ts";
import { LiveIn } from "./workflow/live-in.tsx";

/** Every workflow that the caller may see, of one project or of all: its newest version, and where it is live. */
export function WorkflowsScreen() {
  const { query, route } = useLocation();
  const q = query.q ?? "";
  const workflows = useQuery(`workflows ${project.value}`, (signal) => readWorkflows(project.value, signal));
  const apps = useQuery(`apps ${project.value}`, (signal) => readApps(project.value, signal));
  useProjectEvents(project.value);
  const projects = useQuery("projects", readProjects).data.value;
  useTitle("Workflows");
  const found = workflows.data.value;
  const shown = useMemo(() => searched(found ?? [], q), [found, q]);
  const ask = (text: string) => {
    const asked = new URLSearchParams({
      ...(project.value ? { project: project.value } : {}),
      ...(text ? { q: text } : {}),
    });
    route(`/console/workflows${asked.size ? `?${asked}` : ""}`, true);
  };
  return (
    <>
      <div class="heading">
        <h1>Workflows</h1>
      </div>
      <Loaded query={workflows} lines={8}>
        {(all) =>
          all.length === 0 ? (
            <NoWorkflows />
          ) : (
            <>
              <Search q={q} count={shown.length} ask={ask} />
              <Trouble query={apps} says="Where each is live could not be read" retry={() => void apps.refresh()} />
              <div class="panel">
                {shown.length > 0 ? (
                  <WorkflowTable workflows={shown} apps={apps.data.value} projects={projects ?? []} />
                ) : (
                  <Empty title="No workflow matches">
                    <Action onClick={() => ask("")}>Show all</Action>
                  </Empty>
                )}
              </div>
            </>
          )
        }
      </Loaded>
    </>
  );
}

/** Those that have every word of the search in their name or description. */
function searched(workflows: ListedWorkflow[], q: string): ListedWorkflow[] {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  return workflows.filter(({ name, description }) =>
    words.every((word) => `${name}\n${description ?? ""}`.toLowerCase().includes(word)),
  );
}

function Search({ q, count, ask }: { q: string; count: number; ask: (text: string) => void }) {
  return (
    <div class="filters">
      <label class="search">
        <Icon shape="search" />
        <span class="hidden-label">Search name or description</span>
        <input
          class="input"
          type="search"
          placeholder="Search name or description"
          value={q}
          onInput={(event) => ask(event.currentTarget.value)}
        />
      </label>
      <p class="hidden-label" role="status">
        {plural(count, "workflow")}
      </p>
    </div>
  );
}

interface TableProps {
  workflows: ListedWorkflow[];
  /** Undefined while it is not known where anything is live. */
  apps?: AppOfList[];
  projects: Project[];
}

function WorkflowTable({ workflows, apps, projects }: TableProps) {
  const isOfAll = project.value === "";
  const drawn = useGrowing(workflows.length, project.value);
  const appsOf = useMemo(() => apps && Map.groupBy(apps, (app) => app.workflow_id), [apps]);
  const namedProject = (id: string | null) => projects.find((each) => each.id === id)?.name;
  return (
    <table class="lines cards">
      <Columns of={["NAME", "NEWEST VERSION", "LIVE IN", ...(isOfAll ? ["PROJECT"] : []), "CREATED"]} />
      <tbody>
        {workflows.slice(0, drawn).map((each) => (
          <tr key={each.id}>
            <td class="wide">
              <a class="strong break" href={`/console/workflows/${each.id}`}>
                {each.name}
              </a>
              {each.description && <p class="small muted break">{each.description}</p>}
            </td>
            <td data-label="Newest">
              <NewestVersion of={each} />
            </td>
            <td data-label="Live in">
              <LiveIn apps={appsOf && (appsOf.get(each.id) ?? [])} withVersion />
            </td>
            {isOfAll && <td data-label="Project">{namedProject(each.project_id)}</td>}
            <td data-label="Created">
              <Time at={each.created_at} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function NewestVersion({ of: { id, newest_version: newest } }: { of: ListedWorkflow }) {
  if (!newest) return <span class="muted">none yet</span>;
  return (
    <span>
      <a href={`/console/workflows/${id}/versions/${newest.id}`}>{newest.version}</a>{" "}
      <span class="small muted">
        <Time at={newest.created_at} />
      </span>
    </span>
  );
}

function NoWorkflows() {
  return (
    <div class="panel">
      <Empty title="No workflows here yet">
        <p class="muted">
          A workflow is what an App runs: a draft, and the versions that were released of it. Save one from Dynamiq's
          SDK or its editor, with this API's address, or apply one:
        </p>
        <div class="ways">
          <Command text="kubectl apply -f workflow.yaml" />
        </div>
        <p class="small muted">You see the workflows of those projects that your account may read.</p>
      </Empty>
    </div>
  );
}
