import { useEffect, useRef, useState } from "preact/hooks";
import { createKey } from "../../api/configuration.ts";
import type { App, NewAccessKey } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { useLeaving } from "../../state/leaving.ts";
import { useWrite } from "../../state/write.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Field } from "../../ui/field.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { toast } from "../../ui/toasts.tsx";

interface Props {
  app: App;
  onClose: () => void;
}

/** Makes an Access Key, and shows it once: it is kept nowhere, and the dialog stays until the reader has stored it. */
export function NewKeyDialog({ app, onClose }: Props) {
  const [made, setMade] = useState<NewAccessKey>();
  const [isStored, setStored] = useState(false);
  const [isClosing, setClosing] = useState(false);
  // The browser's way back would take the key off the screen for good, too.
  const { asks } = useLeaving(made !== undefined && !isStored, "/console/");
  const isLeaving = isClosing || asks;
  const leave = () => {
    if (made && !isStored && !isLeaving) setClosing(true);
    else onClose();
  };
  return (
    <Dialog title={made ? `Access Key ${made.name}` : "Create an Access Key"} onClose={leave}>
      {made ? (
        <Shown made={made} isStored={isStored} isLeaving={isLeaving} onStored={setStored} onClose={onClose} />
      ) : (
        <NameForm app={app} onMade={setMade} onClose={onClose} />
      )}
    </Dialog>
  );
}

/** A name that no key has yet: with it, a second try after silence finds the key of the first. */
function freshName(): string {
  return `key-${crypto.randomUUID().slice(0, 6)}`;
}

function NameForm({ app, onMade, onClose }: Props & { onMade: (made: NewAccessKey) => void }) {
  const [name, setName] = useState(freshName);
  const write = useWrite();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (write.problem) field.current?.focus();
  }, [write.problem]);
  const submit = (event: Event) => {
    event.preventDefault();
    void write.run(async () => {
      onMade(await createKey(app.id, name));
      toast(`Key ${name} of ${app.name} is made`);
    });
  };
  const said = write.problem?.details.name;
  const wrong = said === undefined ? undefined : said === "taken" ? write.problem?.message : String(said);
  return (
    <form onSubmit={submit}>
      <div class="body">
        <Field label="Name" hint="Whom it is for: letters, digits, '-', '_' and '.'" wrong={wrong}>
          {(attributes) => (
            <input
              {...attributes}
              ref={field}
              autofocus
              // The name is a proposal: whoever types writes over it.
              onFocus={(event) => event.currentTarget.select()}
              class="input"
              autocomplete="off"
              spellcheck={false}
              required
              maxLength={253}
              value={name}
              onInput={(event) => setName(event.currentTarget.value.trim())}
            />
          )}
        </Field>
        <p class="small muted">The key is random, and is shown once.</p>
      </div>
      <footer>
        <Command text={line("kubectl", "dynamiq", "keys", "create", app.resource_name, name, "-n", app.namespace)} />
        {!wrong && <ProblemNotice problem={write.problem} undone="No key was made" />}
        <div class="buttons end">
          <Action onClick={onClose}>Cancel</Action>
          <Action type="submit" kind="primary" disabled={write.isBusy}>
            {write.isBusy ? "Creating…" : "Create the key"}
          </Action>
        </div>
      </footer>
    </form>
  );
}

interface ShownProps {
  made: NewAccessKey;
  isStored: boolean;
  isLeaving: boolean;
  onStored: (is: boolean) => void;
  onClose: () => void;
}

function Shown({ made, isStored, isLeaving, onStored, onClose }: ShownProps) {
  const first = useRef<HTMLParagraphElement>(null);
  useEffect(() => first.current?.focus(), []);
  return (
    <>
      <div class="body">
        <p ref={first} tabIndex={-1}>
          <strong>Store it now: it is not shown again.</strong> Callers send it as <code>Authorization: Bearer …</code>{" "}
          It works {made.is_announced ? "in a few seconds, a minute at most" : "within 90 s"}.
        </p>
        <Command text={made.value} label="Copy the key" />
        <label class="tick">
          <input type="checkbox" checked={isStored} onChange={(event) => onStored(event.currentTarget.checked)} />I have
          stored it
        </label>
      </div>
      <footer>
        {isLeaving && !isStored && (
          <div class="notice warn" role="alert">
            <span>Confirm that you stored it. Once this is closed, nobody can read it again.</span>
            <Action tiny onClick={onClose}>
              Close without storing it
            </Action>
          </div>
        )}
        <div class="buttons end">
          <Action kind="primary" disabled={!isStored} onClick={onClose}>
            Done
          </Action>
        </div>
      </footer>
    </>
  );
}
