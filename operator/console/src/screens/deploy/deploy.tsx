import { useRef } from "preact/hooks";
import { readAppsOf, readRuntimes } from "../../api/deploying.ts";
import { readApps, readProjects } from "../../api/read.ts";
import { readVersion, readVersions, readWorkflow } from "../../api/workflows.ts";
import { type Edits, isFilled } from "../../pure/deploy-form.ts";
import type { App, AppOfList, Version, Workflow } from "../../pure/shapes.ts";
import { quoted } from "../../pure/shell.ts";
import { useDraft } from "../../state/draft.ts";
import { useLeaving } from "../../state/leaving.ts";
import { useLocation } from "../../state/location.tsx";
import { type Query, useQuery } from "../../state/query.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Empty, Failure, Skeleton } from "../../ui/states.tsx";
import { DeployForm } from "./deploy-form.tsx";
import type { First } from "./deploying.ts";
import "../../styles/deploying.css";

interface Props {
  /** The App that it was opened from. */
  app?: App;
  /** The workflow that it was opened from. */
  workflowId?: string;
}

/** The Deploy panel: a version of a workflow, to a new App or to one that is there. `?version=` and `?app=` choose beforehand. */
export function DeployDialog({ app, workflowId }: Props) {
  const id = workflowId ?? app?.workflow_id ?? undefined;
  const [edits, edit] = useDraft<Edits>(`deploy ${app?.id} ${id}`, { config: {} });
  const leaving = useLeaving(isFilled(edits), app ? `/console/apps/${app.id}` : `/console/workflows/${id ?? ""}`);
  const workflow = useQuery(id && `workflow ${id}`, (signal) => readWorkflow(id as string, signal));
  const versions = useQuery(id && `workflow-versions ${id}`, (signal) => readVersions(id as string, signal));
  const apps = useQuery(id && `deploying apps ${id}`, (signal) => readAppsOf(id as string, signal));
  const runtimes = useQuery("deploying runtimes", readRuntimes);
  const known = useKnown(app, workflow.data.value?.project_id);
  const listed = versions.data.value?.newest;
  const [asked, older] = useAsked(id, listed);
  const first = useChosenFirst(asked, apps.data.value, listed, app);
  const failed = [workflow, versions, apps, older].find((query) => query.problem.value !== undefined) as Query<unknown>;
  return (
    <Dialog title="Deploy" side wide onClose={leaving.close}>
      {app && !id ? (
        <WithoutWorkflow />
      ) : first && workflow.data.value && versions.data.value && apps.data.value ? (
        <DeployForm
          workflow={workflow.data.value}
          versions={asked?.older ? [...versions.data.value.newest, asked.older] : versions.data.value.newest}
          apps={apps.data.value.map((each) => known?.find(({ id }) => id === each.id) ?? each)}
          runtimes={runtimes.data.value ?? []}
          runtimesProblem={runtimes.problem.value}
          {...{ first, edits, edit, leaving }}
        />
      ) : failed?.problem.value ? (
        <Failure problem={failed.problem.value} retry={() => void failed.refresh()} />
      ) : versions.data.value?.newest.length === 0 && workflow.data.value ? (
        <WithoutVersions workflow={workflow.data.value} />
      ) : (
        <Skeleton lines={8} />
      )}
    </Dialog>
  );
}

/** The Apps as they are at this moment: the screen below hears of each change. */
function useKnown(app: App | undefined, project: string | null | undefined): AppOfList[] | undefined {
  const key = !app && project ? `apps ${project}` : undefined;
  const listed = useQuery(key, (signal) => readApps(project as string, signal)).data.value;
  return app ? [app] : listed;
}

interface Asked {
  /** What it is called in the address, where it is there no more. */
  missing?: string;
  versionId: string;
  /** The address asks for none. */
  isUsual?: true;
  /** The version that is asked for, where it is older than all that were listed. */
  older?: Version;
}

/** The version that the address asks for, else the newest, as `isUsual`. None is taken in the place of one that is gone. */
function useAsked(workflow: string | undefined, listed: Version[] | undefined): [Asked | undefined, Query<Version>] {
  const { query } = useLocation();
  const name = query.version;
  const found = listed?.find(({ id, version }) => id === name || version === name);
  const isElsewhere = Boolean(workflow && name && listed && !found);
  const older = useQuery(isElsewhere ? `workflow-version ${workflow} ${name}` : undefined, (signal) =>
    readVersion(workflow as string, name as string, signal),
  );
  const problem = older.problem.value;
  const isMissing = problem?.isUnknown || problem?.status === 422;
  const read = older.data.value ?? (isMissing ? undefined : null);
  if (!listed?.[0] || (isElsewhere && read === null)) return [undefined, older];
  if (found) return [{ versionId: found.id }, older];
  if (!isElsewhere)
    return [{ versionId: (listed.find(({ rejected }) => !rejected) ?? listed[0]).id, isUsual: true }, older];
  return [read ? { versionId: read.id, older: read } : { versionId: "", missing: name }, older];
}

function useChosenFirst(asked?: Asked, apps?: AppOfList[], listed?: Version[], app?: App): First | undefined {
  const { query } = useLocation();
  const chosen = useRef<First | undefined>(undefined);
  if (chosen.current === undefined && asked && apps) {
    // Where several fit, the reader says which: none is deployed because it stood first.
    const only = apps.length === 1 ? apps[0] : undefined;
    const to = app ?? apps.find(({ id }) => id === query.app) ?? only;
    const mode = to || apps.length > 0 ? "existing" : "new";
    const deployed = asked.isUsual && listed?.find(({ version }) => version === to?.live?.version);
    chosen.current = {
      mode,
      versionId: deployed ? deployed.id : asked.versionId,
      missing: asked.missing,
      appId: to?.id,
    };
  }
  return chosen.current;
}

function WithoutVersions({ workflow }: { workflow: Workflow }) {
  const projects = useQuery("projects", readProjects).data.value;
  const namespace = projects?.find(({ id }) => id === workflow.project_id)?.name;
  return (
    <Empty title="No version is released yet">
      <p class="muted">A deployment is of a released version. Release the draft of {workflow.name} first:</p>
      {namespace && <Command text={`kubectl dynamiq release ${quoted(workflow.name)} -n ${quoted(namespace)}`} />}
      <Action href={`/console/workflows/${workflow.id}`}>Open the workflow</Action>
    </Empty>
  );
}

function WithoutWorkflow() {
  return (
    <Empty title="The workflow of this App was deleted">
      <p class="muted">It has no version to deploy any more. Roll back from the App's History.</p>
    </Empty>
  );
}
