import { useEffect, useRef } from "preact/hooks";
import { previewPromotion, promote, readEnvironments } from "../../api/deploying.ts";
import { readApp } from "../../api/read.ts";
import { confirmedOf, fieldsWrong, shownWrong } from "../../pure/answers.ts";
import { promoteLine } from "../../pure/commands.ts";
import { bypassWrong, reasonBody } from "../../pure/deploy-form.ts";
import type { Consequence } from "../../pure/preview-words.ts";
import {
  environmentName,
  type Lacking,
  lackingOf,
  type PromoteEdits,
  type Target,
  targetOf,
  targetsOf,
} from "../../pure/promotion.ts";
import type { App, Deployment, Environment, PromoteBody, PromotionData } from "../../pure/shapes.ts";
import { hostnameWrong, MESSAGE_MOST, tooLong } from "../../pure/texts.ts";
import { useDraft } from "../../state/draft.ts";
import { type Leaving, useLeaving } from "../../state/leaving.ts";
import { type Previewed, usePreview } from "../../state/preview.ts";
import { refresh, useQuery } from "../../state/query.ts";
import { useRights } from "../../state/rights.ts";
import { type Sending, useSending } from "../../state/sending.ts";
import { useAppEvents } from "../../state/watch.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Fact } from "../../ui/fact.tsx";
import { PreviewView } from "../../ui/preview.tsx";
import { Empty, Failure, Skeleton } from "../../ui/states.tsx";
import { TextField } from "../../ui/text-field.tsx";
import { toast } from "../../ui/toasts.tsx";
import { ActingForm, Held, Terminal } from "./acting.tsx";
import { ReasonFields, SelectField, useBypassOffer } from "./fields.tsx";
import { LackingNotice } from "./lacking.tsx";
import { waitsForPreview } from "./outcome.tsx";
import "../../styles/deploying.css";

const FIELDS = ["hostname", "message", "bypass_reason", "environment", "project_id"];
const TITLE = "Promote deployment";
const FIX = "Fix the marked fields";

/** Deploys what an App serves to the App of its name in another environment of the project. */
export function PromoteDialog({ app }: { app: App }) {
  const [edits, edit] = useDraft<PromoteEdits>(`promote ${app.id}`, {});
  const leaving = useLeaving(Boolean(edits.hostname || edits.message || edits.bypass), `/console/apps/${app.id}`);
  const environments = useQuery(`deploying environments ${app.id}`, (signal) => readEnvironments(app.id, signal));
  const targets = environments.data.value && targetsOf(environments.data.value);
  const problem = environments.problem.value;
  return (
    <Dialog title={TITLE} onClose={leaving.close}>
      {!app.live ? (
        <NothingLive app={app} />
      ) : targets && targets.length > 0 ? (
        <PromoteForm {...{ app, targets, edits, edit, leaving }} ask={() => void environments.refresh()} />
      ) : targets ? (
        <NoEnvironment />
      ) : problem ? (
        <Failure problem={problem} retry={() => void environments.refresh()} />
      ) : (
        <Skeleton lines={6} />
      )}
    </Dialog>
  );
}

interface FormProps {
  app: App;
  targets: Target<Environment>[];
  edits: PromoteEdits;
  edit: (edits: PromoteEdits) => void;
  leaving: Leaving;
  ask: () => void;
}

type Chosen = Target<Environment> & { isOneOfSeveral: boolean };

interface Sent {
  body: PromoteBody;
  what: string;
}

/** Promotes, and leads to the rollout there. */
function usePromoting(app: App, leaving: Leaving): Sending<Sent> {
  return useSending<Sent, Deployment>(
    (sent, idempotency) => promote(app.id, sent.body, idempotency),
    (made, isHere, sent) => {
      toast(`The promotion to ${environmentName(sent.body.environment)} was accepted`);
      refresh();
      if (isHere) leaving.goOn(made.app_id ? `/console/apps/${made.app_id}/rollouts/${made.id}` : "/console/");
    },
  );
}

function PromoteForm({ app, targets, edits, edit, leaving, ask }: FormProps) {
  const target = targetOf(targets, edits);
  const there = useThere(target.app_id, ask);
  const hostname = (target.needs_hostname && edits.hostname?.trim()) || "";
  const { environment, project_id } = target;
  const body: PromoteBody = { environment, project_id, ...(hostname ? { hostname } : {}), ...reasonBody(edits) };
  const { message } = body;
  const right = useRights(target.app_id ?? undefined).data.value?.bypass;
  const wrong: Record<string, string> = {
    hostname: target.needs_hostname ? hostnameWrong(hostname) : "",
    message: tooLong(message ?? "", MESSAGE_MOST),
    bypass_reason: bypassWrong(edits.bypass),
  };
  const key = JSON.stringify([{ ...body, message: undefined }, app.live?.deployment_id, target.live_version, there]);
  // Without a hostname, too: what else the target lacks is said before anybody thinks of one.
  const preview = usePreview(wrong.hostname || wrong.bypass_reason ? undefined : key, (signal) =>
    previewPromotion(app.id, { ...body, message: undefined }, signal),
  );
  const offersBypass = useBypassOffer({ of: project_id, right, value: edits.bypass, preview });
  const sending = usePromoting(app, leaving);
  const change = (to: PromoteEdits) => {
    sending.forgetRefusal();
    edit(to);
  };
  const asksHostname = target.needs_hostname && !hostname && preview.problem?.details.hostname !== undefined;
  const problem = sending.problem ?? (asksHostname ? undefined : preview.problem);
  const told = problem && fieldsWrong(problem, FIELDS);
  const lacking = problem ? lackingOf(problem.details) : [];
  const place = environmentName(environment);
  const look = () => {
    sending.forgetRefusal();
    preview.refresh();
  };
  const [mistake] = Object.keys(wrong).filter((field) => wrong[field]);
  const shown = shownWrong(wrong, told?.fields);
  const send = () => {
    const what = `${preview.data?.to.version ?? ""} to ${place}${target.isOneOfSeveral ? ` (${target.project_name})` : ""}`;
    sending.send({ body: { ...body, confirmed: preview.data && confirmedOf(preview.data) }, what });
  };
  return (
    <ActingForm
      {...{ leaving, sending, mistake }}
      action={edits.bypass === undefined ? TITLE : `${TITLE} past the rules`}
      isReady={preview.isCurrent}
      right={target.promote}
      askRight={ask}
      waits={waitsFor(place, lacking, asksHostname, mistake, preview)}
      rest={lacking.length > 0 ? "" : told?.rest}
      what={`The promotion of ${sending.sent?.what}`}
      look={preview.refresh}
      onAct={send}
    >
      <div class="body">
        <Summary app={app} />
        {lacking.length > 0 && <LackingNotice {...{ lacking, place, look }} />}
        <Held sending={sending}>
          <Where {...{ app, targets, target, edits, wrong: shown }} edit={change} />
        </Held>
        <PreviewView
          preview={previewToShow(lacking, asksHostname, wrong.hostname, preview)}
          waits={waitsToShow(lacking, asksHostname, wrong.hostname, place)}
          also={(data) => createdBy(data, app.resource_name, target.project_name)}
        >
          <Held sending={sending}>
            <ReasonFields {...{ filled: edits, wrong: shown, offersBypass }} onChange={change} />
          </Held>
        </PreviewView>
        {!mistake && <Terminal text={lineOf(app, target, body)} />}
      </div>
    </ActingForm>
  );
}

/** The same from a terminal. */
function lineOf(app: App, target: Chosen, { environment, hostname, bypass_reason, message }: PromoteBody): string {
  return promoteLine({
    namespace: app.namespace,
    app: app.resource_name,
    environment,
    target: target.isOneOfSeveral ? target.project_name : undefined,
    hostname: target.needs_hostname ? (hostname ?? "") : undefined,
    bypass: bypass_reason ?? undefined,
    message: message ?? undefined,
  });
}

/** What is live in the target, and what is under way there, at this moment; asks again what the targets are where that changes. */
function useThere(appId: string | null, ask: () => void): string {
  const app = useQuery(appId ? `app ${appId}` : undefined, (signal) => readApp(appId as string, signal)).data.value;
  useAppEvents(appId ?? undefined, {});
  const there = app ? `${app.live?.deployment_id} ${app.under_way?.deployment_id}` : "";
  const before = useRef(there);
  useEffect(() => {
    // Nothing is known at first, which is no change.
    if (before.current !== "" && before.current !== there) ask();
    before.current = there;
  }, [there]);
  return there;
}

/** What the target lacks, and gets. */
function createdBy({ new_app, new_version }: PromotionData, app: string, project: string): Consequence[] {
  const says = [
    ...(new_app ? [`App ${app} will be made in ${project}`] : []),
    ...(new_version ? [`Version ${new_version} will be put into ${project}`] : []),
  ];
  return says.map((each) => ({ kind: "calm", says: each }));
}

/** Why it cannot be promoted yet. */
function waitsFor(
  place: string,
  lacking: Lacking[],
  asksHostname: boolean,
  mistake: string | undefined,
  preview: Previewed<PromotionData>,
): string {
  if (lacking.length > 0) return `${place} lacks ${lacking.map(({ kind, name }) => `${kind} ${name}`).join(", ")}`;
  if (asksHostname) return "Give a hostname";
  return mistake ? FIX : waitsForPreview(preview);
}

/** The preview without what the form says elsewhere. */
function previewToShow(
  lacking: Lacking[],
  asksHostname: boolean,
  wrong: string | undefined,
  preview: Previewed<PromotionData>,
): Previewed<PromotionData> {
  if (wrong) return { ...preview, data: undefined };
  return lacking.length > 0 || asksHostname ? { ...preview, problem: undefined } : preview;
}

/** Why there is no preview, where that is no failure. */
function waitsToShow(lacking: Lacking[], asksHostname: boolean, wrong: string | undefined, place: string) {
  if (wrong) return `${FIX} to see what this would do.`;
  if (lacking.length > 0) return `What this would do is shown once ${place} has it.`;
  return asksHostname ? "Give a hostname to see what this would do." : undefined;
}

/** What is promoted. */
function Summary({ app }: { app: App }) {
  return (
    <dl class="facts summary">
      <Fact label="Name">{app.name}</Fact>
      <Fact label="Description">{app.description || <span class="muted">none</span>}</Fact>
      <Fact label="Live version">
        <strong>{app.live?.version}</strong> (#{app.live?.sequence}) in {app.environment ?? app.namespace}
      </Fact>
    </dl>
  );
}

interface WhereProps {
  app: App;
  targets: Target<Environment>[];
  target: Chosen;
  edits: PromoteEdits;
  edit: (edits: PromoteEdits) => void;
  wrong: Record<string, string>;
}

/** Where to: the environment, which project where it has several, and the hostname there. */
function Where({ app, targets, target, edits, edit, wrong }: WhereProps) {
  const names = [...new Set(targets.map(({ environment }) => environment))];
  const projects = targets.filter(({ environment }) => environment === target.environment);
  return (
    <>
      <SelectField
        label="Environment"
        value={target.environment}
        choices={names.map((name) => ({ value: name, says: environmentName(name) }))}
        hint={
          target.live_version
            ? `${target.live_version} is live there`
            : target.app_id
              ? "Nothing is live there"
              : `${app.name} is not in ${environmentName(target.environment)} yet`
        }
        wrong={wrong.environment}
        onChange={(environment) => edit({ ...edits, environment, projectId: undefined })}
      />
      {target.isOneOfSeveral && (
        <SelectField
          label="Project"
          value={target.project_id}
          choices={projects.map(({ project_id, project_name }) => ({ value: project_id, says: project_name }))}
          wrong={wrong.project_id}
          onChange={(projectId) => edit({ ...edits, projectId })}
        />
      )}
      {target.needs_hostname && (
        <TextField
          label="Hostname"
          required
          first
          inputMode="url"
          value={edits.hostname ?? ""}
          placeholder={`${app.resource_name}.${target.environment}.example.com`}
          hint="The App's address there"
          wrong={wrong.hostname}
          onChange={(hostname) => edit({ ...edits, hostname })}
        />
      )}
    </>
  );
}

function NothingLive({ app }: { app: App }) {
  return (
    <Empty title="Nothing is live yet">
      <p class="muted">A promotion takes what {app.name} serves to another environment. Deploy it here first.</p>
      <Action href={`/console/apps/${app.id}/deploy`}>Deploy</Action>
    </Empty>
  );
}

function NoEnvironment() {
  return (
    <Empty title="This project has no other environment">
      <p class="muted">To promote, label both namespaces with the same project, and each with its environment.</p>
      <Command
        text={
          "kubectl label namespace NAMESPACE dynamiq.getdynamiq.ai/project=PROJECT dynamiq.getdynamiq.ai/environment=production"
        }
      />
    </Empty>
  );
}
