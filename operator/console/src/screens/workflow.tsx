import { useRef } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";
import { readAppsOf, readVersions, readWorkflow } from "../api/workflows.ts";
import { type WorkflowPlace, workflowPlace } from "../pure/workflow-place.ts";
import { useQuery } from "../state/query.ts";
import { Loaded } from "../ui/states.tsx";
import { useTitle } from "../ui/title.ts";
import { DeployDialog } from "./deploy/deploy.tsx";
import { UnknownScreen } from "./unknown.tsx";
import { WorkflowOverview } from "./workflow/overview.tsx";
import { VersionScreen } from "./workflow/version.tsx";

/** One workflow: its versions and its draft, one version with what changed, and the Deploy dialog over either. */
export function WorkflowScreen() {
  const { params } = useRoute();
  const id = params.id as string;
  return <OneWorkflow key={id} id={id} />;
}

function OneWorkflow({ id }: { id: string }) {
  const { path } = useLocation();
  const place = workflowPlace(path.slice(`/console/workflows/${id}`.length));
  const shown = useShown(place);
  const workflow = useQuery(`workflow ${id}`, (signal) => readWorkflow(id, signal));
  const versions = useQuery(`workflow-versions ${id}`, (signal) => readVersions(id, signal));
  const apps = useQuery(`workflow-apps ${id}`, (signal) => readAppsOf(id, signal)).data.value;
  const version = versions.data.value?.find((each) => each.id === shown.versionId)?.version;
  useTitle(place.isDeploying && "Deploy", version, workflow.data.value?.name, "Workflows");
  if (place.screen === "unknown") return <UnknownScreen />;
  return (
    <Loaded query={workflow} lines={8} level={1}>
      {(found) => (
        <>
          {shown.versionId ? (
            <VersionScreen
              key={shown.versionId}
              workflow={found}
              versions={versions}
              versionId={shown.versionId}
              apps={apps}
            />
          ) : (
            <WorkflowOverview workflow={found} versions={versions} apps={apps} />
          )}
          {place.isDeploying && <DeployDialog workflowId={id} />}
        </>
      )}
    </Loaded>
  );
}

/** What fills the page: under the dialog the screen that it was opened from, as it was. */
function useShown(place: WorkflowPlace): WorkflowPlace {
  const last = useRef(place);
  if (!place.isDeploying) last.current = place;
  return last.current;
}
