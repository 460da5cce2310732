import { useEffect, useRef } from "preact/hooks";
import { readTriggers } from "../api/triggers.ts";
import type { App, Trigger } from "../pure/shapes.ts";
import { useLocation } from "../state/location.tsx";
import { refresh, useQuery } from "../state/query.ts";
import { useRights } from "../state/rights.ts";
import { Action, type Right } from "../ui/action.tsx";
import { ACTIONS, Columns } from "../ui/columns.tsx";
import { usePoll } from "../ui/poll.ts";
import { Empty, Loaded } from "../ui/states.tsx";
import { TriggerActions } from "./triggers/actions.tsx";
import { TriggerDialog } from "./triggers/dialog.tsx";
import { TriggerForm } from "./triggers/form.tsx";
import { eventsOf, LastRun } from "./triggers/runs.tsx";
import { NextRun, Schedule, TriggerStatus } from "./triggers/schedule.tsx";

/** Milliseconds until it is looked again what has run, where the tab is seen. */
const LOOKED_AGAIN_AFTER = 15_000;

/** An App at set times: its triggers, with when each runs, how it went last, and what can be done with it. */
export function TriggersTab({ app }: { app: App }) {
  const { path, query: address, route } = useLocation();
  const right = useRights(app.id).data.value?.triggers;
  const triggers = useQuery(`triggers ${app.id}`, (signal) => readTriggers(app.id, signal));
  useFresh(app);
  const open = (what?: string, replaces = false) => route(what ? `${path}?trigger=${what}` : path, replaces);
  const chosen = triggers.data.value?.find((each) => each.id === address.trigger);
  const newTrigger = (
    <Action right={right} kind="primary" onClick={() => open("new")}>
      New trigger
    </Action>
  );
  return (
    <section class="panel" aria-label="Triggers">
      <header>
        <h2>Triggers</h2>
        {triggers.data.value && triggers.data.value.length > 0 && newTrigger}
      </header>
      <Loaded query={triggers} lines={4}>
        {(found) =>
          found.length === 0 ? (
            <Empty title="No triggers yet">
              <p class="muted">
                A trigger calls this App at set times: every working day at nine, say, or once at a launch.
              </p>
              {newTrigger}
            </Empty>
          ) : (
            <TriggerTable app={app} triggers={found} right={right} onOpen={open} />
          )
        }
      </Loaded>
      {address.trigger === "new" && <TriggerForm app={app} onClose={(made) => open(made?.id, true)} />}
      {chosen && <TriggerDialog key={chosen.id} app={app} trigger={chosen} right={right} onClose={() => open()} />}
    </section>
  );
}

/** Reads triggers and their runs again when the App has changed, and every now and then: a run that begins changes nothing of the App. */
function useFresh(app: App): void {
  const again = () => {
    refresh(`triggers ${app.id}`);
    refresh(eventsOf(app));
  };
  const seen = useRef(app.updated_at);
  useEffect(() => {
    if (seen.current === app.updated_at) return;
    seen.current = app.updated_at;
    again();
  }, [app.updated_at]);
  usePoll(LOOKED_AGAIN_AFTER, again);
}

interface TableProps {
  app: App;
  triggers: Trigger[];
  right?: Right;
  onOpen: (id: string) => void;
}

function TriggerTable({ app, triggers, right, onOpen }: TableProps) {
  return (
    <table class="lines cards">
      <Columns of={["NAME", "SCHEDULE", "NEXT RUN", "LAST RUN", "STATUS", ACTIONS]} />
      <tbody>
        {triggers.map((trigger) => (
          <tr key={trigger.id}>
            <td>
              <button type="button" class="link" onClick={() => onOpen(trigger.id)}>
                {trigger.name}
              </button>
            </td>
            <td data-label="Schedule">
              <Schedule config={trigger.config} />
            </td>
            <td data-label="Next run">
              <NextRun trigger={trigger} />
            </td>
            <td data-label="Last run">
              <LastRun app={app} trigger={trigger} />
            </td>
            <td data-label="Status">
              <TriggerStatus trigger={trigger} />
            </td>
            <td class="end">
              <TriggerActions app={app} trigger={trigger} right={right} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
