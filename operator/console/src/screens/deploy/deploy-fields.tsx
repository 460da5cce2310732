import { readProjects } from "../../api/read.ts";
import { typeOf } from "../../pure/config.ts";
import type { Edits } from "../../pure/deploy-form.ts";
import { failureOf } from "../../pure/row-words.ts";
import type { AppOfList, Runtime } from "../../pure/shapes.ts";
import { sentence } from "../../pure/texts.ts";
import { useQuery } from "../../state/query.ts";
import { useRows } from "../../state/rows.ts";
import { useConversations } from "../../ui/conversations.ts";
import { TextField } from "../../ui/text-field.tsx";
import { Held } from "./acting.tsx";
import { AdvancedConfiguration, TypeChoice } from "./advanced.tsx";
import type { Deploying, Panel } from "./deploying.ts";
import { BypassField, Check, type Choice, MessageField, SelectField, Switch, WholeText } from "./fields.tsx";

interface Props {
  panel: Panel;
  deploying: Deploying;
}

const NEW = "New deployment";
const EXISTING = "Existing deployment";
const PRIVATE = "Private";
const PUBLIC = "Public";

/** What is filled in: which App, which version, on what, and why. */
export function DeployFields({ panel, deploying }: Props) {
  const { edits, edit, apps } = panel;
  const { mode, app, live, wrong } = deploying;
  const change = (part: Partial<Edits>) => edit({ ...edits, ...part });
  const offersTake = useConversations(app?.id).length > 0 || edits.takes !== undefined;
  return (
    <Held sending={deploying.outcome} class="fields">
      <Switch
        label="Deployment mode"
        choices={[NEW, EXISTING]}
        value={mode === "new" ? NEW : EXISTING}
        onChange={(chosen) => change({ mode: chosen === NEW ? "new" : "existing" })}
      />
      {mode === "new" ? (
        <NewFields {...{ panel, deploying, change }} />
      ) : apps.length === 0 ? (
        <p class="muted">Nothing is deployed of this workflow yet: make a new deployment.</p>
      ) : (
        <ExistingFields {...{ panel, deploying, change }} />
      )}
      {(mode === "new" || apps.length > 0) && (
        <>
          <VersionAndRuntime {...{ panel, deploying, change }} />
          {mode === "existing" && (
            <MessageField
              value={edits.message ?? ""}
              wrong={wrong.message}
              onChange={(message) => change({ message })}
            />
          )}
          {mode === "existing" && offersTake && (
            <Check
              label="Take conversations"
              hint="Those that began before go on with this version, from their next turn. Otherwise each stays on the version that it began on"
              checked={Boolean(edits.takes)}
              onChange={(takes) => change({ takes })}
            />
          )}
          {deploying.offersBypass && (
            <BypassField value={edits.bypass} wrong={wrong.bypass_reason} onChange={(bypass) => change({ bypass })} />
          )}
          {(mode === "new" || app) && (
            <AdvancedConfiguration
              edits={edits.config}
              live={live}
              wrong={wrong}
              onChange={(config) => change({ config })}
            />
          )}
        </>
      )}
    </Held>
  );
}

type ChangeProps = Props & { change: (part: Partial<Edits>) => void };

function NewFields({ panel, deploying, change }: ChangeProps) {
  const { edits, workflow } = panel;
  const projects = useQuery("projects", readProjects).data.value;
  const project = projects?.find(({ id }) => id === workflow.project_id);
  return (
    <>
      <TextField
        label="Name"
        required
        first={panel.first.mode === "new"}
        value={edits.name ?? ""}
        wrong={deploying.wrong.name}
        hint="Its display name; its address is made of it"
        onChange={(name) => change({ name })}
      />
      <TextField
        label="Description"
        value={edits.description ?? ""}
        wrong={deploying.wrong.description}
        onChange={(description) => change({ description })}
      />
      <TextField
        label="Project"
        readOnly
        value={
          project ? [project.name, project.environment && `(${project.environment})`].filter(Boolean).join(" ") : ""
        }
        hint="The workflow's own; use Promote for another environment"
      />
      <Switch
        label="Access"
        choices={[PRIVATE, PUBLIC]}
        value={edits.access === "public" ? PUBLIC : PRIVATE}
        onChange={(chosen) => change({ access: chosen === PUBLIC ? "public" : "private" })}
      />
      <TypeChoice
        value={typeOf(edits.config, undefined)}
        onChange={(type) => change({ config: { ...edits.config, type } })}
      />
    </>
  );
}

function ExistingFields({ panel, deploying, change }: ChangeProps) {
  const { app } = deploying;
  return (
    <>
      <SelectField
        label="Select deployment"
        first={panel.first.appId === undefined}
        value={app?.id ?? ""}
        choices={[...(app ? [] : [{ value: "", says: "Choose a deployment…" }]), ...panel.apps.map(choiceOfApp)]}
        onChange={(appId) => change({ appId })}
      />
      {app && (
        <>
          <TextField label="Name" readOnly value={app.name} />
          <WholeText label="Description" value={app.description || "none"} />
        </>
      )}
    </>
  );
}

function choiceOfApp(app: AppOfList): Choice {
  return { value: app.id, says: `${app.name} · ${app.live ? app.live.version : "not deployed"}` };
}

function VersionAndRuntime({ panel, deploying, change }: ChangeProps) {
  const { versions, runtimes, runtimesProblem, first, edits } = panel;
  const { app, version, wrong } = deploying;
  const deployed = app?.live?.version;
  const chosen = edits.versionId ?? first.versionId;
  const unchosen = { value: chosen, says: chosen ? "(gone)" : "Choose a version…" };
  const rows = useRows(app) ?? [];
  const kept = app?.live ? runtimes.find(({ id }) => id === app.runtime_id) : runtimes.find((each) => !each.deprecated);
  const shown = runtimes.find(({ id }) => id === edits.runtimeId) ?? kept;
  const choices = versions.map(({ id, version: name, description, rejected }) => ({
    value: id,
    says: [
      [name, name === deployed && "(deployed)", rejected ? "(rejected)" : failureOf(rows, id, shown?.version)]
        .filter(Boolean)
        .join(" "),
      rejected ?? description,
    ]
      .filter(Boolean)
      .join(" · "),
    // Whoever may bypass that chooses it, and then says why.
    isOut: Boolean(rejected) && name !== deployed && id !== chosen && !deploying.bypass?.allowed,
  }));
  // What is kept stands there once.
  const others = runtimes.filter(({ id }) => !app?.live || id !== kept?.id || id === edits.runtimeId);
  return (
    <>
      <SelectField
        label="Source version"
        first={first.mode === "existing" && first.appId !== undefined}
        value={chosen}
        choices={version ? choices : [unchosen, ...choices]}
        hint={
          version || !first.missing
            ? undefined
            : `${first.missing} is no version of this workflow: it may have been deleted`
        }
        wrong={wrong.workflow_version_id || sentence(deploying.rejected)}
        onChange={(versionId) => change({ versionId })}
      />
      <SelectField
        label="Runtime"
        value={edits.runtimeId ?? ""}
        choices={[{ value: "", says: whatIsKept(app, kept) }, ...others.map(choiceOfRuntime)]}
        hint={
          runtimesProblem
            ? `Others cannot be listed: ${runtimesProblem.message}`
            : shown?.deprecated
              ? `${shown.version} is deprecated: choose a newer one`
              : undefined
        }
        wrong={wrong.runtime_id}
        onChange={(runtimeId) => change({ runtimeId })}
      />
    </>
  );
}

function whatIsKept(app: AppOfList | undefined, kept: Runtime | undefined): string {
  if (app?.live) {
    return `Keep what is live · ${kept ? choiceOfRuntime(kept).says : (app.runtime?.version ?? "")}`;
  }
  return kept ? `The newest · ${kept.version}` : "The newest";
}

function choiceOfRuntime({ id, version, label, deprecated }: Runtime): Choice {
  return { value: id, says: [version, label, deprecated && "(deprecated)"].filter(Boolean).join(" · ") };
}
