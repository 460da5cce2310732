import { useState } from "preact/hooks";
import { readProjects } from "../../api/read.ts";
import { readProjectRights, type Versions } from "../../api/workflows.ts";
import type { AppOfList, Workflow } from "../../pure/shapes.ts";
import { inProject } from "../../state/project.ts";
import { type Query, useQuery } from "../../state/query.ts";
import { Action } from "../../ui/action.tsx";
import { Columns } from "../../ui/columns.tsx";
import { Copy } from "../../ui/copy.tsx";
import { Empty, Loaded } from "../../ui/states.tsx";
import { Time } from "../../ui/time.tsx";
import { Draft } from "./draft.tsx";
import { Flow } from "./flow.tsx";
import { LiveIn } from "./live-in.tsx";
import { Rejected } from "./rejected.tsx";

/** Versions that are drawn at once. */
const SHOWN_FIRST = 50;

interface Props {
  workflow: Workflow;
  versions: Query<Versions>;
  apps?: AppOfList[];
}

/** The workflow: what was released of it and where that is live, how far the draft has gone on, and its flow. */
export function WorkflowOverview({ workflow, versions, apps }: Props) {
  const namespace = useQuery("projects", readProjects).data.value?.find(({ id }) => id === workflow.project_id)?.name;
  const rightsKey = workflow.project_id ? `project-rights ${workflow.project_id}` : undefined;
  const right = useQuery(rightsKey, (signal) => readProjectRights(workflow.project_id as string, signal)).data.value
    ?.release;
  const base = `/console/workflows/${workflow.id}`;
  return (
    <>
      <div class="heading">
        <div>
          <p class="small muted">
            <a href={inProject("/console/workflows")}>Workflows</a>
            {namespace && ` · ${namespace}`}
          </p>
          <h1 class="break">{workflow.name}</h1>
          {workflow.description && <p class="muted break">{workflow.description}</p>}
          <p class="small muted buttons">
            <span class="mono break">{workflow.id}</span>
            <Copy text={workflow.id} label="Copy the id" />
          </p>
        </div>
        <Action kind="primary" href={`${base}/deploy`}>
          Deploy
        </Action>
      </div>
      <div class="halves">
        <section class="panel" aria-label="Versions">
          <header>
            <h2>Versions</h2>
          </header>
          <Loaded query={versions} lines={6}>
            {(found) =>
              found.total === 0 ? (
                <Empty title="Nothing is released yet">
                  <p class="muted">
                    A version is what an App runs, and never changes. Release the draft to get the first one.
                  </p>
                </Empty>
              ) : (
                <VersionTable base={base} versions={found} apps={apps} />
              )
            }
          </Loaded>
        </section>
        <div class="column">
          <Draft workflow={workflow} versions={versions} namespace={namespace} right={right} />
          <Flow workflow={workflow} />
        </div>
      </div>
    </>
  );
}

interface TableProps {
  base: string;
  versions: Versions;
  apps?: AppOfList[];
}

function VersionTable({ base, versions: { newest, total }, apps }: TableProps) {
  const [isWhole, showAll] = useState(false);
  const shown = isWhole ? newest : newest.slice(0, SHOWN_FIRST);
  const older = total - newest.length;
  return (
    <>
      <table class="lines cards">
        <Columns of={["VERSION", "DESCRIPTION", "LIVE IN", "CREATED"]} />
        <tbody>
          {shown.map((each) => (
            <tr key={each.id}>
              <td>
                <a class="strong" href={`${base}/versions/${each.id}`}>
                  {each.version}
                  <span class="hidden-label">: what changed</span>
                </a>
              </td>
              <td class="wide break">
                {each.description}
                <Rejected says={each.rejected} />
              </td>
              <td data-label="Live in">
                <LiveIn apps={apps} version={each.version} />
              </td>
              <td data-label="Created">
                <Time at={each.created_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < newest.length ? (
        <p class="inside">
          <Action tiny onClick={() => showAll(true)}>
            Show {newest.length - shown.length} more
          </Action>
        </p>
      ) : (
        older > 0 && <p class="inside small muted">and {older.toLocaleString("en")} older ones</p>
      )}
    </>
  );
}
