import { useState } from "preact/hooks";
import { deleteTrigger } from "../../api/triggers.ts";
import type { App, Trigger } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { refresh } from "../../state/query.ts";
import { useWrite } from "../../state/write.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Fact } from "../../ui/fact.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { toast } from "../../ui/toasts.tsx";
import { TriggerActions } from "./actions.tsx";
import { TriggerForm } from "./form.tsx";
import { Runs } from "./runs.tsx";
import { NextRun, Schedule, TriggerStatus } from "./schedule.tsx";

const LABEL = "dynamiq.getdynamiq.ai";

interface Props {
  app: App;
  trigger: Trigger;
  right?: Right;
  onClose: () => void;
}

/** One trigger: what it sends, what it has run and how that went. */
export function TriggerDialog({ app, trigger, right, onClose }: Props) {
  const [step, go] = useState<"shown" | "changed" | "deleted">("shown");
  const selected = `${LABEL}/app=${app.resource_name},${LABEL}/trigger`;
  if (step === "changed") return <TriggerForm app={app} trigger={trigger} onClose={() => go("shown")} />;
  return (
    <Dialog title={trigger.name} side onClose={onClose}>
      <div class="body">
        <div class="buttons">
          <TriggerStatus trigger={trigger} />
          <span class="push" />
          <TriggerActions app={app} trigger={trigger} right={right} />
          <Action tiny right={right} onClick={() => go("changed")}>
            Change
          </Action>
          <Action tiny kind="danger" right={right} onClick={() => go("deleted")}>
            Delete
          </Action>
        </div>
        {step === "deleted" && <Deletion app={app} trigger={trigger} onKeep={() => go("shown")} onDone={onClose} />}
        <dl class="facts">
          <Fact label="Schedule">
            <Schedule config={trigger.config} />
          </Fact>
          <Fact label="Next run">
            <NextRun trigger={trigger} />
          </Fact>
          <Fact label="Input">
            <Input trigger={trigger} />
          </Fact>
        </dl>
        <h3>Runs</h3>
        <Runs app={app} trigger={trigger} />
      </div>
      <footer>
        <Command text={line("kubectl", "get", "jobs", "-n", app.namespace, "-l", selected)} />
      </footer>
    </Dialog>
  );
}

function Input({ trigger: { input_transformer: made } }: { trigger: Trigger }) {
  const fields = Object.entries(made?.selector ?? {});
  if (!made?.path && fields.length === 0) return <span class="muted">none</span>;
  return (
    <ul class="mono break">
      {made?.path && <li>path: {made.path}</li>}
      {fields.map(([field, text]) => (
        <li key={field}>
          {field}: {text}
        </li>
      ))}
    </ul>
  );
}

interface DeletionProps {
  app: App;
  trigger: Trigger;
  onKeep: () => void;
  onDone: () => void;
}

function Deletion({ app, trigger, onKeep, onDone }: DeletionProps) {
  const write = useWrite();
  const remove = async () => {
    if (!(await write.run(() => deleteTrigger(app.id, trigger.id)))) return;
    toast(`Trigger ${trigger.name} is deleted`);
    refresh(`triggers ${app.id}`);
    onDone();
  };
  return (
    <div class="notice bad" role="alert">
      <span>
        Delete <strong>{trigger.name}</strong>? It stops running. This cannot be undone. To stop it for a while,
        deactivate it.
      </span>
      <ProblemNotice problem={write.problem} undone="It stays" gone="It is gone" />
      <div class="buttons">
        <Action tiny onClick={onKeep}>
          Keep it
        </Action>
        <Action tiny kind="danger" disabled={write.isBusy} onClick={() => void remove()}>
          Delete the trigger
        </Action>
      </div>
    </div>
  );
}
