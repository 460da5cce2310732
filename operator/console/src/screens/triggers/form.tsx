import { useState } from "preact/hooks";
import { activateTrigger, changeTrigger, createTrigger } from "../../api/triggers.ts";
import type { App, Trigger } from "../../pure/shapes.ts";
import { useDraft } from "../../state/draft.ts";
import { useLeaving } from "../../state/leaving.ts";
import { refresh } from "../../state/query.ts";
import { useWrite } from "../../state/write.ts";
import { Action } from "../../ui/action.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Leave } from "../../ui/leave.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { TextField } from "../../ui/text-field.tsx";
import { toast } from "../../ui/toasts.tsx";
import { keep } from "./actions.tsx";
import { bodyOf, type Filled, filledOf, wrongOf } from "./filled.ts";
import { InputFields } from "./input-fields.tsx";
import { TimeFields } from "./time-fields.tsx";

interface Props {
  app: App;
  /** The trigger that is changed; none: a new one. */
  trigger?: Trigger;
  onClose: (made?: Trigger) => void;
}

/** Makes a trigger, or changes one. A new one is a draft for the API, and runs from the moment that it is activated. */
export function TriggerForm({ app, trigger, onClose }: Props) {
  const [first] = useState(() => filledOf(trigger));
  const [filled, fill, forget] = useDraft<Filled>(`trigger ${app.id} ${trigger?.id}`, first);
  const end = (made?: Trigger) => {
    forget();
    onClose(made);
  };
  const leaving = useLeaving(JSON.stringify(filled) !== JSON.stringify(first), () => end());
  const [isActive, setActive] = useState(true);
  const write = useWrite();
  const wrong = wrongOf(write.problem);
  const change = (part: Partial<Filled>) => fill({ ...filled, ...part });
  const save = async () => {
    const body = bodyOf(filled, trigger);
    if (trigger) {
      keep(app, await changeTrigger(app.id, trigger.id, body));
      toast(`Trigger ${body.name} is saved`);
      end();
      return;
    }
    const made = await createTrigger(app.id, body);
    await activated(app, made, isActive);
    refresh(`triggers ${app.id}`);
    end(made);
  };
  return (
    <Dialog title={trigger ? `Change ${trigger.name}` : "New trigger"} side onClose={leaving.close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void write.run(save);
        }}
      >
        <div class="body">
          <TextField
            label="Name"
            hint="Such as Every working day"
            wrong={wrong.name}
            spellcheck
            required
            maxLength={128}
            value={filled.name}
            onChange={(name) => change({ name })}
          />
          <TimeFields filled={filled} wrong={wrong} onChange={change} />
          <InputFields filled={filled} wrong={wrong} onChange={change} />
          {!trigger && (
            <label class="tick">
              <input type="checkbox" checked={isActive} onChange={(event) => setActive(event.currentTarget.checked)} />
              Activate it at once
            </label>
          )}
        </div>
        <footer>
          {leaving.asks && <Leave leaving={leaving} />}
          <ProblemNotice problem={write.problem} undone="Nothing was saved" said={wrong} />
          <div class="buttons end" hidden={leaving.asks}>
            <Action onClick={leaving.close}>Cancel</Action>
            <Action type="submit" kind="primary" disabled={write.isBusy}>
              {write.isBusy ? "Saving…" : trigger ? "Save changes" : "Create the trigger"}
            </Action>
          </div>
        </footer>
      </form>
    </Dialog>
  );
}

/** Activates a trigger that was made a moment ago, if that is wished; that it is there is told in any case. */
async function activated(app: App, made: Trigger, isWished: boolean): Promise<void> {
  if (!isWished) {
    toast(`Trigger ${made.name} is made, a draft`);
    return;
  }
  try {
    await activateTrigger(app.id, made.id);
    toast(`Trigger ${made.name} is made and active`);
  } catch (thrown) {
    toast(`Trigger ${made.name} is made, and still a draft: ${(thrown as Error).message}`, "bad");
  }
}
