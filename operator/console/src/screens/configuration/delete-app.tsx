import { useState } from "preact/hooks";
import { deleteApp } from "../../api/configuration.ts";
import { readOpenRuns } from "../../api/runs.ts";
import type { App } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { plural } from "../../pure/texts.ts";
import { useLocation } from "../../state/location.tsx";
import { inProject } from "../../state/project.ts";
import { refresh, useQuery } from "../../state/query.ts";
import { useWrite } from "../../state/write.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { useConversations } from "../../ui/conversations.ts";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Field } from "../../ui/field.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { toast } from "../../ui/toasts.tsx";

/** The end of an App, behind a dialog that asks for its name. */
export function DeleteApp({ app, right }: { app: App; right?: Right }) {
  const [isOpen, open] = useState(false);
  return (
    <section class="panel" aria-label="Delete App">
      <header>
        <h2>Delete App</h2>
        <Action right={right} kind="danger" onClick={() => open(true)}>
          Delete App
        </Action>
      </header>
      <p class="inside muted small">
        Deletes its history, triggers and Access Keys, too. The workflow and its versions stay.
      </p>
      {isOpen && <DeleteDialog app={app} onClose={() => open(false)} />}
    </section>
  );
}

function DeleteDialog({ app, onClose }: { app: App; onClose: () => void }) {
  const [typed, type] = useState("");
  const write = useWrite();
  const open = useQuery(`open-runs ${app.id}`, (signal) => readOpenRuns(app.id, signal)).data.value?.pagination
    .total_count;
  const conversations = useConversations(app.id).reduce((sum, { sessions }) => sum + sessions, 0);
  const { route } = useLocation();
  const name = app.resource_name;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (typed !== name || !(await write.run(() => deleteApp(app.id)))) return;
    toast(`${app.name} is deleted`);
    refresh("apps");
    route(inProject("/console/"));
  };
  return (
    <Dialog title={`Delete ${app.name}`} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <div class="body">
          <p>
            This cannot be undone. With <strong>{app.name}</strong> in {app.namespace} go:
          </p>
          <ul class="notes">
            <li>its history: every deployment, with what it pinned, by whom and when</li>
            <li>its triggers, and its Access Keys</li>
            {open === 1 && <li>1 background run that is open: it is canceled</li>}
            {open !== undefined && open > 1 && <li>{open} background runs that are open: they are canceled</li>}
            {conversations > 0 && <li>{plural(conversations, "conversation")} that callers have open</li>}
            {app.live && (
              <li>
                its pods, which serve {app.live.version} now: calls to {app.hostname} get no answer any more
              </li>
            )}
          </ul>
          <p class="small muted">
            Workflow {app.workflow.name} and its versions stay, and so do Apps that it was promoted to.
          </p>
          <Field label={`Type ${name} to confirm`}>
            {(attributes) => (
              <input
                {...attributes}
                class="input mono"
                autocomplete="off"
                autocapitalize="none"
                spellcheck={false}
                value={typed}
                onInput={(event) => type(event.currentTarget.value.trim())}
              />
            )}
          </Field>
        </div>
        <footer>
          <Command text={line("kubectl", "delete", "app", name, "-n", app.namespace)} />
          <ProblemNotice problem={write.problem} undone={`${app.name} stays`} gone={`${app.name} is gone`} />
          <div class="buttons end">
            <Action onClick={onClose}>Cancel</Action>
            <Action type="submit" kind="danger" disabled={typed !== name || write.isBusy}>
              {write.isBusy ? "Deleting…" : `Delete ${app.name}`}
            </Action>
          </div>
        </footer>
      </form>
    </Dialog>
  );
}
