import { useState } from "preact/hooks";
import { createApp, deploy, previewDeploy } from "../../api/deploying.ts";
import type { Problem } from "../../api/problem.ts";
import { readProjectRights } from "../../api/workflows.ts";
import { confirmedOf, fieldsWrong } from "../../pure/answers.ts";
import { AMOUNTS, NUMBERS } from "../../pure/config.ts";
import { deployBody, type Edits, FIELDS, type Mode, newAppBody, wrongOf } from "../../pure/deploy-form.ts";
import type { AppOfList, DeployBody, NewAppBody, Runtime, Version, Workflow } from "../../pure/shapes.ts";
import type { Leaving } from "../../state/leaving.ts";
import { usePreview } from "../../state/preview.ts";
import { refresh, useQuery } from "../../state/query.ts";
import { useRights } from "../../state/rights.ts";
import { useSending } from "../../state/sending.ts";
import { toast } from "../../ui/toasts.tsx";
import { useBypassOffer } from "./fields.tsx";

/** What the panel opens with. It stays that, however the lists change while somebody fills it in. */
export interface First {
  mode: Mode;
  /** Empty where the one that was asked for is not there. */
  versionId: string;
  /** How that one was named. */
  missing?: string;
  appId?: string;
}

/** What the panel is about, and what was filled in. */
export interface Panel {
  workflow: Workflow;
  versions: Version[];
  apps: AppOfList[];
  runtimes: Runtime[];
  runtimesProblem?: Problem;
  first: First;
  edits: Edits;
  edit: (edits: Edits) => void;
  leaving: Leaving;
}

interface Sent {
  /** The App that is deployed; none where one is made. */
  appId?: string;
  body: DeployBody | NewAppBody;
  version: string;
  /** The version, and where to, in words. */
  what: string;
  /** The form that was sent. */
  held: string;
}

const KNOWN = [...FIELDS, ...[...Object.values(NUMBERS), ...Object.values(AMOUNTS)].map(({ path }) => path)];

/** What the form means as it stands: what is wrong with it, what it would do, whether the caller may, and what became of sending it. */
export function useDeploying({ workflow, versions, apps, runtimes, first, edits, leaving }: Panel) {
  const mode: Mode = edits.mode ?? first.mode;
  const app = mode === "existing" ? apps.find(({ id }) => id === (edits.appId ?? first.appId)) : undefined;
  const versionId = edits.versionId ?? first.versionId;
  const version = versions.find(({ id }) => id === versionId);
  const live = app?.deployment_config;
  const [isAsked, ask] = useState(false);
  const isWrong = Object.keys(wrongOf(edits, mode, live, true)).length > 0;
  const mistakes = wrongOf(edits, mode, live, isAsked);
  const named = { workflowId: workflow.id, versionId };
  const body = app ? deployBody(edits, named, live) : newAppBody(edits, named, workflow.project_id ?? "", runtimes);
  const held = JSON.stringify([app?.id, body]);
  // A message changes nothing of what the form would do; what is live and what is under way does.
  const previewed = { ...body, message: undefined };
  const key = JSON.stringify([app?.id, previewed, app?.live?.deployment_id, app?.under_way?.deployment_id]);
  const preview = usePreview(app && version && !isWrong ? key : undefined, (signal) =>
    previewDeploy(app?.id as string, previewed as DeployBody, signal),
  );
  const sending = useSending<Sent, { appId: string; rowId: string | null }>(post, ({ appId, rowId }, isHere, sent) => {
    toast(`The deploy of ${sent.version} was accepted`);
    refresh();
    if (isHere) leaving.goOn(rowId ? `/console/apps/${appId}/rollouts/${rowId}` : `/console/apps/${appId}`);
  });
  const isOfThis = sending.sent?.held === held;
  const refused = isOfThis && !sending.isUncertain ? sending.problem : undefined;
  const problem = refused ?? preview.problem;
  const told = problem ? fieldsWrong(problem, KNOWN) : { fields: {}, rest: "" };
  const rights = useRight(app?.id, mode === "new" ? workflow.project_id : null);
  // What is live may be scaled: whether that is all, the API says.
  const isRejected = Boolean(version?.rejected) && version?.version !== app?.live?.version;
  const { bypass: right } = rights;
  const offersBypass = useBypassOffer({
    of: `${app?.id} ${versionId}`,
    right,
    value: edits.bypass,
    preview,
    isRejected,
  });
  return {
    ...{ mode, app, version, live, preview, isWrong, mistakes },
    bypass: right,
    offersBypass: mode === "existing" && offersBypass,
    rejected: (isRejected && (mode === "new" || edits.bypass === undefined) && version?.rejected) || "",
    wrong: { ...told.fields, ...mistakes },
    outcome: refused || sending.isUncertain ? sending : { ...sending, problem: undefined },
    sent: sending.sent,
    rest: refused ? told.rest : undefined,
    rights,
    send: () => {
      ask(true);
      if (isWrong) return;
      const confirmed = app && preview.data ? { confirmed: confirmedOf(preview.data) } : {};
      const name = version?.version ?? "";
      const what = `${name} ${app ? `to ${app.name}` : `as ${edits.name?.trim()}`}`;
      sending.send({ appId: app?.id, body: { ...body, ...confirmed }, version: name, what, held });
    },
  };
}

export type Deploying = ReturnType<typeof useDeploying>;

async function post({ appId, body }: Sent, key: string): Promise<{ appId: string; rowId: string | null }> {
  if (appId !== undefined) return { appId, rowId: (await deploy(appId, body as DeployBody, key)).id };
  const made = await createApp(body as NewAppBody, key);
  return { appId: made.id, rowId: made.latest_deployment_id };
}

/** Whether the caller may deploy the App, or make one in the project. */
function useRight(appId: string | undefined, projectId: string | null) {
  const ofApp = useRights(appId);
  const ofProject = useQuery(projectId ? `project-rights ${projectId}` : undefined, (signal) =>
    readProjectRights(projectId as string, signal),
  );
  const query = projectId ? ofProject : ofApp;
  return {
    right: projectId ? ofProject.data.value?.create_app : ofApp.data.value?.deploy,
    bypass: projectId ? undefined : ofApp.data.value?.bypass,
    ask: () => void query.refresh(),
  };
}
