import { useRef } from "preact/hooks";
import { readProjects } from "../../api/read.ts";
import { deployLine, newAppLines } from "../../pure/commands.ts";
import { configToSend, wholeConfig } from "../../pure/config.ts";
import { runtimeOfNew } from "../../pure/deploy-form.ts";
import { fieldOf } from "../../pure/row-words.ts";
import { sentence } from "../../pure/texts.ts";
import { useQuery } from "../../state/query.ts";
import { PreviewView } from "../../ui/preview.tsx";
import { ActingForm, focusWrong, Terminal } from "./acting.tsx";
import { DeployFields } from "./deploy-fields.tsx";
import { type Deploying, type Panel, useDeploying } from "./deploying.ts";
import { NewAppOutlook } from "./new-app.tsx";
import { waitsForPreview } from "./outcome.tsx";

/** The form of the Deploy panel, with what it would do beside it. */
export function DeployForm(panel: Panel) {
  const deploying = useDeploying(panel);
  const { mode, app, preview, isWrong, mistakes, rights, outcome, rest } = deploying;
  const [mistake] = Object.keys(mistakes);
  const form = useRef<HTMLDivElement>(null);
  const act = () => {
    deploying.send();
    if (isWrong) requestAnimationFrame(() => focusWrong(form.current));
  };
  return (
    <ActingForm
      leaving={panel.leaving}
      action={actionOf(deploying, panel.edits.bypass)}
      to={app?.name}
      right={rights.right}
      askRight={rights.ask}
      mistake={mistake}
      says={says(deploying)}
      waits={waitsFor(deploying)}
      sending={outcome}
      rest={rest}
      what={`The deploy of ${deploying.sent?.what}`}
      look={preview.refresh}
      onAct={act}
    >
      <div class="body columns" ref={form}>
        <DeployFields panel={panel} deploying={deploying} />
        <div class="beside">
          {mode === "new" && !mistake ? (
            <NewAppOutlook panel={panel} deploying={deploying} />
          ) : (
            <PreviewView preview={mistake ? { ...preview, data: undefined } : preview} waits={waitsToShow(deploying)} />
          )}
          {!mistake && <CommandLine panel={panel} deploying={deploying} />}
        </div>
      </div>
    </ActingForm>
  );
}

function actionOf({ mode, version }: Deploying, bypass: string | undefined): string {
  const isPast = mode === "existing" && bypass !== undefined;
  return ["Deploy", version?.version, isPast && "past the rules"].filter(Boolean).join(" ");
}

/** Why it cannot be deployed yet; what is missing is said when somebody tries. */
function waitsFor({ mode, app, version, preview, isWrong, mistakes, rejected }: Deploying): string {
  if (mode === "existing" && !app) return "Choose a deployment";
  if (!version) return "Choose a version";
  if (rejected) return sentence(rejected);
  if (Object.keys(mistakes).length > 0) return says({ wrong: mistakes });
  if (mode === "new" || isWrong) return "";
  return waitsForPreview(preview);
}

/** Why there is no preview, where that is no failure. */
function waitsToShow({ app, version, mistakes }: Deploying): string | undefined {
  if (Object.keys(mistakes).length > 0) return "Fix the marked fields to see what this would do.";
  if (!app) return "Choose a deployment to see what this would do.";
  return version ? undefined : "Choose a version to see what this would do.";
}

/** The first thing that is wrong, where the reader looks when the button does nothing but lead to it. */
function says({ wrong }: Pick<Deploying, "wrong">): string {
  const [first] = Object.entries(wrong);
  if (!first) return "";
  const [path, said] = first;
  const field = fieldOf(path.replace(/^deployment_config\.config\.(?=resources)/, ""));
  return `Fix first: ${sentence(field)}. ${said}`;
}

/** The same from a terminal. */
function CommandLine({ panel, deploying }: { panel: Panel; deploying: Deploying }) {
  const { workflow, runtimes, edits } = panel;
  const { mode, app, version, live } = deploying;
  const projects = useQuery("projects", readProjects).data.value;
  const namespace = app?.namespace ?? projects?.find(({ id }) => id === workflow.project_id)?.name;
  if (!namespace || !version || (mode === "existing" && !app)) return null;
  const asked = {
    namespace,
    version: version.version,
    runtime: (app ? runtimes.find(({ id }) => id === edits.runtimeId) : runtimeOfNew(edits, runtimes))?.name,
    // Where nothing is live the plugin keeps another config than this API does.
    config: app && !app.live ? wholeConfig(edits.config, live) : configToSend(edits.config, live),
  };
  const text = app
    ? deployLine({
        ...asked,
        app: app.resource_name,
        takes: edits.takes,
        bypass: edits.bypass?.trim(),
        message: edits.message?.trim(),
      })
    : newAppLines({
        ...asked,
        name: edits.name?.trim() || "My App",
        description: edits.description?.trim() ?? "",
        workflow: workflow.name,
        access: edits.access ?? "private",
      });
  return <Terminal text={text} />;
}
