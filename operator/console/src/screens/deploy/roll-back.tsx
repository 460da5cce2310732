import { useRef } from "preact/hooks";
import { deploy, previewDeploy } from "../../api/deploying.ts";
import { confirmedOf, fieldsWrong, shownWrong } from "../../pure/answers.ts";
import { rollBackCall, rollBackLine } from "../../pure/commands.ts";
import { configInWords } from "../../pure/config-words.ts";
import { bypassWrong, reasonBody } from "../../pure/deploy-form.ts";
import type { App, DeployBody, Deployment } from "../../pure/shapes.ts";
import { MESSAGE_MOST, sentence, tooLong } from "../../pure/texts.ts";
import { useDraft } from "../../state/draft.ts";
import { type Leaving, useLeaving } from "../../state/leaving.ts";
import { usePreview } from "../../state/preview.ts";
import { refresh } from "../../state/query.ts";
import { useRow } from "../../state/row.ts";
import { type Sending, useSending } from "../../state/sending.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { By } from "../../ui/person.tsx";
import { PreviewView } from "../../ui/preview.tsx";
import { Loaded } from "../../ui/states.tsx";
import { Time } from "../../ui/time.tsx";
import { toast } from "../../ui/toasts.tsx";
import { ActingForm, Held, Terminal } from "./acting.tsx";
import { Check, ReasonFields, useBypassOffer } from "./fields.tsx";
import { waitsForPreview } from "./outcome.tsx";
import "../../styles/deploying.css";
import { useRights } from "../../state/rights.ts";
import { Said } from "../../ui/said.tsx";

interface Filled {
  withConfig: boolean;
  message: string;
  /** Whether what Git asks for waits after it; undefined: as the App has it. */
  hold?: boolean;
  /** Why the rules are gone past; undefined where they are not. */
  bypass?: string;
}

/** Brings back what an App ran before: one more row. */
export function RollBackDialog({ app, rowId }: { app: App; rowId: string }) {
  const [filled, fill] = useDraft<Filled>(`roll back ${rowId}`, { withConfig: false, message: "" });
  const leaving = useLeaving(Object.values(filled).some(Boolean), `/console/apps/${app.id}/history${location.search}`);
  const row = useRow(app.id, rowId, true);
  return (
    <Dialog title="Roll back" onClose={leaving.close}>
      <Loaded query={row} lines={8}>
        {(found) => <RollBackForm {...{ app, row: found, filled, fill, leaving }} />}
      </Loaded>
    </Dialog>
  );
}

interface FormProps {
  app: App;
  row: Deployment;
  filled: Filled;
  fill: (filled: Filled) => void;
  leaving: Leaving;
}

/** Deploys the row again, and leads to its rollout. */
function useRollBack(app: App, row: Deployment, leaving: Leaving): Sending<DeployBody> {
  return useSending<DeployBody, Deployment>(
    (sent, key) => deploy(app.id, sent, key),
    (made, isHere) => {
      toast(`The rollback to ${titleOf(row)} was accepted`);
      refresh();
      if (isHere) leaving.goOn(`/console/apps/${app.id}/rollouts/${made.id}`);
    },
  );
}

function RollBackForm({ app, row, filled, fill, leaving }: FormProps) {
  const title = titleOf(row);
  const message = filled.message.trim();
  const wrong = { message: tooLong(filled.message, MESSAGE_MOST), bypass_reason: bypassWrong(filled.bypass) };
  const rights = useRights(app.id);
  const { deploy: deploys, bypass: right, roll_back } = rights.data.value ?? {};
  // Who is on call brings rows back, and changes nothing else.
  const lacks = deploys?.allowed === false ? `. You may not change it: ${deploys.needs ?? "ask an administrator"}` : "";
  const withConfig = filled.withConfig && !lacks;
  const hold = withConfig || lacks ? undefined : filled.hold;
  const { bypass } = filled;
  const body: DeployBody = {
    restores: row.id,
    with_config: withConfig,
    take_sessions: false,
    ...(hold === undefined ? {} : { hold }),
    ...reasonBody(filled),
  };
  const key = `${row.id} ${withConfig} ${hold} ${bypass} ${app.live?.deployment_id} ${app.under_way?.deployment_id}`;
  // A message changes nothing of what is previewed.
  const preview = usePreview(wrong.bypass_reason ? undefined : key, (signal) =>
    previewDeploy(app.id, { ...body, message: undefined }, signal),
  );
  // An App that Git never touched has no hold to speak of.
  const usual = useRef(app.git !== null);
  if (preview.isCurrent && preview.data && hold === undefined && !withConfig) usual.current = preview.data.begins_hold;
  const offersBypass = useBypassOffer({ of: row.id, right, value: bypass, preview });
  const sending = useRollBack(app, row, leaving);
  const change = (to: Filled) => {
    sending.forgetRefusal();
    fill(to);
  };
  const refused = sending.problem && fieldsWrong(sending.problem, ["message", "bypass_reason"]);
  return (
    <ActingForm
      {...{ leaving, sending }}
      action={`Roll back to ${title}${bypass === undefined ? "" : " past the rules"}`}
      isReady={preview.isCurrent}
      right={roll_back}
      askRight={() => void rights.refresh()}
      waits={wrong.message ? "The message is too long" : wrong.bypass_reason || waitsForPreview(preview)}
      rest={refused?.rest}
      what={`The rollback of ${app.name} to ${title}`}
      look={preview.refresh}
      onAct={() => sending.send({ ...body, confirmed: preview.data && confirmedOf(preview.data) })}
    >
      <div class="body">
        <RowLine {...{ app, row, title }} />
        <Doubts row={row} />
        <PreviewView preview={preview}>
          <Held sending={sending}>
            <Choices {...{ app, row, filled, lacks, withConfig, hold, change }} usual={usual.current} />
            <ReasonFields {...{ filled, offersBypass }} wrong={shownWrong(wrong, refused?.fields)} onChange={change} />
          </Held>
        </PreviewView>
        <Terminal
          text={rollBackLine({
            namespace: app.namespace,
            app: app.resource_name,
            row: row.sequence ?? row.name,
            withConfig,
            noHold: hold === false,
            bypass: bypass?.trim(),
            message,
          })}
        />
        <Terminal title="API call" text={rollBackCall({ origin: location.origin, app: app.id, body })} />
      </div>
    </ActingForm>
  );
}

interface ChoicesProps extends Pick<FormProps, "app" | "row" | "filled"> {
  /** Why neither can be chosen. */
  lacks: string;
  withConfig: boolean;
  hold: boolean | undefined;
  /** Whether Git waits where nothing else is asked for. */
  usual: boolean;
  change: (to: Filled) => void;
}

/** Whether the scaling of the row comes back, and whether Git waits. */
function Choices({ app, row, filled, lacks, withConfig, hold, usual, change }: ChoicesProps) {
  const [itsScaling, liveScaling] = [scalingOf(row), scalingOf(app)];
  return (
    <>
      <Check
        label="Deploy its scaling, too"
        hint={
          (itsScaling === liveScaling
            ? `The same as what is live: ${liveScaling}`
            : `${sentence(itsScaling)}. Otherwise what is live stays: ${liveScaling}`) + lacks
        }
        checked={withConfig}
        isOut={lacks !== ""}
        onChange={(is) => change({ ...filled, withConfig: is })}
      />
      {(app.git || usual) && (
        <Check
          label="Git waits afterwards"
          hint={
            withConfig
              ? "With its scaling it is a plain deploy, which begins no hold"
              : `Changes from Git are on hold until somebody resumes them; otherwise the next one replaces this${lacks}`
          }
          checked={!withConfig && (hold ?? usual)}
          isOut={withConfig || lacks !== ""}
          // As the App has it, nothing is asked for: that takes no right beside the rollback's own.
          onChange={(is) => change({ ...filled, hold: is === usual ? undefined : is })}
        />
      )}
    </>
  );
}

/** What comes back. */
function RowLine({ app, row, title }: { app: App; row: Deployment; title: string }) {
  const description = row.workflow_version?.description;
  return (
    <p class="break">
      {app.name} goes back to <strong>{title}</strong>
      {description && `: ${description}`}
      <br />
      <span class="small muted">
        Deployed <Time at={row.created_at} />
        <By author={row.created_by} />
      </span>
    </p>
  );
}

/** Why it cannot be brought back, or what of that is not known, before somebody tries. */
function Doubts({ row: { deployable, ending } }: { row: Deployment }) {
  const reverted = ending === "Reverted" ? ["The operator reverted this row"] : [];
  const said = [...reverted, ...(deployable ? [...deployable.reasons, ...deployable.notes] : [])];
  if (said.length === 0) return null;
  return (
    <ul class="warnings" aria-label="Can you roll back to it">
      {said.map((each) => (
        <li key={each} class={deployable?.ok === false ? "notice bad small" : "notice warn small"}>
          <span class="break">
            {deployable?.ok === null && "Not known: "}
            <Said text={each} isPart={deployable?.ok === null} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function titleOf({ workflow_version: version, sequence, name }: Deployment): string {
  return `${version?.version ?? ""} ${sequence ? `(#${sequence})` : `(${name})`}`.trim();
}

/** Type, pods and compute in words. */
const scalingOf = ({ deployment_config: of }: Pick<App | Deployment, "deployment_config">) =>
  of ? configInWords(of) : "nothing";
