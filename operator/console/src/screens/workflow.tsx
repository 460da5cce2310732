import { useMemo, useRef } from "preact/hooks";
import { readApps } from "../api/read.ts";
import { readVersions, readWorkflow, type Versions } from "../api/workflows.ts";
import type { Workflow } from "../pure/shapes.ts";
import { type WorkflowPlace, workflowPlace } from "../pure/workflow-place.ts";
import { useLocation } from "../state/location.tsx";
import { type Query, useQuery } from "../state/query.ts";
import { useProjectEvents } from "../state/watch.ts";
import { Loaded, Trouble } from "../ui/states.tsx";
import { useTitle } from "../ui/title.ts";
import { DeployDialog } from "./deploy/deploy.tsx";
import { UnknownScreen } from "./unknown.tsx";
import { WorkflowOverview } from "./workflow/overview.tsx";
import { VersionScreen } from "./workflow/version.tsx";

/** One workflow: its versions and its draft, one version with what changed, and the Deploy dialog over either. */
export function WorkflowScreen({ id }: { id: string }) {
  return <OneWorkflow key={id} id={id} />;
}

function OneWorkflow({ id }: { id: string }) {
  const { path } = useLocation();
  const place = workflowPlace(path.slice(`/console/workflows/${id}`.length));
  const shown = useShown(place);
  const workflow = useQuery(`workflow ${id}`, (signal) => readWorkflow(id, signal));
  const versions = useQuery(`workflow-versions ${id}`, (signal) => readVersions(id, signal));
  const version = versions.data.value?.newest.find((each) => each.id === shown.versionId)?.version;
  useTitle(place.isDeploying && "Deploy", version, workflow.data.value?.name, "Workflows");
  if (place.screen === "unknown") return <UnknownScreen />;
  return (
    <Loaded query={workflow} lines={8} level={1}>
      {(found) => (
        <>
          <Shown workflow={found} versions={versions} place={shown} />
          {place.isDeploying && <DeployDialog workflowId={id} />}
        </>
      )}
    </Loaded>
  );
}

interface ShownProps {
  workflow: Workflow;
  versions: Query<Versions>;
  place: WorkflowPlace;
}

function Shown({ workflow, versions, place }: ShownProps) {
  const project = workflow.project_id;
  const key = project === null ? undefined : `apps ${project}`;
  const inProject = useQuery(key, (signal) => readApps(project as string, signal));
  const all = inProject.data.value;
  useProjectEvents(project ?? "");
  const apps = useMemo(() => all?.filter((app) => app.workflow_id === workflow.id), [all, workflow.id]);
  const known = { workflow, versions, apps };
  return (
    <>
      <Trouble query={inProject} says="Where it is live could not be read" retry={() => void inProject.refresh()} />
      {place.versionId ? (
        <VersionScreen key={place.versionId} versionId={place.versionId} {...known} />
      ) : (
        <WorkflowOverview {...known} />
      )}
    </>
  );
}

/** What fills the page: under the dialog the screen that it was opened from, as it was. */
function useShown(place: WorkflowPlace): WorkflowPlace {
  const last = useRef(place);
  if (!place.isDeploying) last.current = place;
  return last.current;
}
