import { useEffect, useRef, useState } from "preact/hooks";
import { differences, onTop, type Settings } from "../../pure/settings.ts";
import type { App, Configuration } from "../../pure/shapes.ts";
import { listen } from "../../state/listen.ts";
import { useWrite } from "../../state/write.ts";
import { Action } from "../../ui/action.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { toast } from "../../ui/toasts.tsx";
import { Changes } from "./changes.tsx";
import { AccessFields, DescriptionField, ExposureFields } from "./fields.tsx";
import { ManagedBy } from "./managed-by.tsx";
import { ChangedMeanwhile } from "./meanwhile.tsx";
import { save } from "./save.ts";
import { type Filled, unfinished } from "./unfinished.ts";
import { VariablesField } from "./variables.tsx";
import { settingsOf, wrongIn, wrongOf } from "./wrong.ts";

interface Props {
  app: App;
  /** The configuration when the form was opened. */
  opened: Configuration;
  /** Ends the form, with what was saved, if anything. */
  onEnd: (saved?: Configuration) => void;
}

/** Changes the configuration: what others changed since the form was opened is shown, and never overwritten unseen. */
export function ConfigurationForm({ app, opened, onEnd }: Props) {
  const [filled, setFilled] = useState<Filled>(
    () => unfinished.get(app.id) ?? { before: opened, settings: settingsOf(opened) },
  );
  const { before, settings, others } = filled;
  const [isTried, setTried] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const write = useWrite();
  const was = settingsOf(before);
  const changed = differences(was, settings);
  const local = isTried ? wrongIn(settings) : {};
  const wrong = { ...wrongOf(write.problem), ...local };
  const isUndecided = others?.choices.some((each) => each.mine !== undefined && each.chosen === undefined);

  useEffect(() => {
    if (changed.length > 0) unfinished.set(app.id, filled);
    else unfinished.delete(app.id);
  });
  useUnloadAsks(changed.length > 0);
  const end = (saved?: Configuration) => {
    unfinished.delete(app.id);
    onEnd(saved);
  };
  const change = (part: Partial<Filled>) => setFilled((now) => ({ ...now, ...part }));
  const saveOrAsk = async () => {
    const done = await save(app.id, before, settings);
    if ("saved" in done) {
      toast(`The configuration of ${app.name} is saved`);
      end(done.saved);
      return;
    }
    setFilled({
      before: done.now,
      settings: onTop(was, settings, settingsOf(done.now)),
      others: { choices: done.others, mine: settings },
    });
    setTried(false);
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (!isUndecided && Object.keys(wrongIn(settings)).length === 0) await write.run(saveOrAsk);
    requestAnimationFrame(() =>
      form.current?.querySelector<HTMLElement>('[data-undecided] input, [aria-invalid="true"]')?.focus(),
    );
  };
  const fields = { settings, wrong, onChange: (changed: Settings) => change({ settings: changed }) };
  return (
    <form ref={form} noValidate onSubmit={(event) => void submit(event)}>
      <div class="inside column">
        {before.managed_by && <ManagedBy manager={before.managed_by} />}
        {others && (
          <ChangedMeanwhile
            choices={others.choices}
            isAsking={isTried && Boolean(isUndecided)}
            mine={others.mine}
            now={was}
            settings={settings}
            onChoice={(choices, chosen) => change({ others: { ...others, choices }, settings: chosen })}
          />
        )}
        <DescriptionField {...fields} />
        <ExposureFields {...fields} />
        <AccessFields {...fields} />
        <VariablesField {...fields} />
      </div>
      <footer class="inside column foot">
        <Changes app={app} from={was} to={settings} changed={changed} />
        <ProblemNotice problem={write.problem} undone="Nothing was saved" said={wrong} />
        <div class="buttons end">
          <Action onClick={() => end()}>Cancel</Action>
          <Action type="submit" kind="primary" disabled={changed.length === 0 || write.isBusy}>
            {write.isBusy ? "Saving…" : "Save changes"}
          </Action>
        </div>
      </footer>
    </form>
  );
}

/** Has the browser ask before the page is left with something filled in. */
function useUnloadAsks(isFilled: boolean): void {
  useEffect(() => {
    if (!isFilled) return;
    return listen("beforeunload", (event) => event.preventDefault());
  }, [isFilled]);
}
