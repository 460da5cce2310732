import { useRef } from "preact/hooks";
import { activateTrigger, deactivateTrigger, runTrigger } from "../../api/triggers.ts";
import type { App, Trigger } from "../../pure/shapes.ts";
import { refresh, update } from "../../state/query.ts";
import { useWrite } from "../../state/write.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { toast } from "../../ui/toasts.tsx";
import { eventsKey } from "./runs.tsx";

/** Puts a trigger, as an answer told it, into the list. */
export function keep(app: App, changed: Trigger): void {
  update<Trigger[]>(`triggers ${app.id}`, (before) => before.map((each) => (each.id === changed.id ? changed : each)));
}

/** Run now, and on or off. What goes wrong is said at the lower edge. */
export function TriggerActions({ app, trigger, right }: { app: App; trigger: Trigger; right?: Right }) {
  const write = useWrite();
  // The key stays until a run has begun: a try after silence is the same run.
  const key = useRef(crypto.randomUUID());
  const attempt = (what: () => Promise<void>) =>
    void write.run(() => what().catch((problem: Error) => toast(`${trigger.name}: ${problem.message}`, "bad")));
  const runNow = () =>
    attempt(async () => {
      await runTrigger(app.id, trigger.id, key.current);
      key.current = crypto.randomUUID();
      toast(`${trigger.name} runs now`, "busy");
      refresh(eventsKey(app, trigger));
    });
  const isActive = trigger.status === "active";
  const turn = () =>
    attempt(async () => {
      keep(app, await (isActive ? deactivateTrigger : activateTrigger)(app.id, trigger.id));
      toast(`${trigger.name} is ${isActive ? "inactive: it does not run" : "active: it runs at its times"}`);
    });
  const named = <span class="hidden-label"> {trigger.name}</span>;
  return (
    <div class="buttons end">
      {isActive && (
        <Action tiny right={right} disabled={write.isBusy} onClick={runNow}>
          Run now{named}
        </Action>
      )}
      {trigger.status !== "expired" && (
        <Action tiny right={right} disabled={write.isBusy} onClick={turn}>
          {isActive ? "Deactivate" : "Activate"}
          {named}
        </Action>
      )}
    </div>
  );
}
