import { readEvents } from "../../api/triggers.ts";
import { fewAtOnce } from "../../pure/few.ts";
import type { App, Trigger, TriggerEvent } from "../../pure/shapes.ts";
import { duration } from "../../pure/time.ts";
import { type Query, useQuery } from "../../state/query.ts";
import { Columns } from "../../ui/columns.tsx";
import { usePoll } from "../../ui/poll.ts";
import { Loaded } from "../../ui/states.tsx";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";

const LOOKED_AGAIN_AFTER = 2_000;
const WORDS = { running: "Running", succeeded: "Succeeded", failed: "Failed" } as const;

/** Each trigger's runs are a read of their own, and the API lets nobody have all of its places. */
const atMost = fewAtOnce(4);

export const eventsOf = (app: App) => `trigger-events ${app.id}`;
export const eventsKey = (app: App, trigger: Trigger) => `${eventsOf(app)} ${trigger.id}`;

/** What a trigger has run, read again while one of the runs goes on. */
function useEvents(app: App, trigger: Trigger): Query<TriggerEvent[]> {
  const query = useQuery(eventsKey(app, trigger), (signal) => atMost(() => readEvents(app.id, trigger.id, signal)));
  const isRunning = query.data.value?.some(({ status }) => status === "running") ?? false;
  usePoll(LOOKED_AGAIN_AFTER, () => isRunning && void query.refresh());
  return query;
}

/** How the last run went, and when it began. */
export function LastRun({ app, trigger }: { app: App; trigger: Trigger }) {
  const query = useEvents(app, trigger);
  const last = query.data.value?.[0];
  if (last) {
    return (
      <div class="two">
        <span>
          <Status word={WORDS[last.status]} />
        </span>
        <span class="small muted">
          <Time at={last.started_at ?? last.created_at} />
        </span>
      </div>
    );
  }
  if (query.problem.value && !query.data.value) return <span class="muted">not known</span>;
  return <span class="muted">{query.data.value ? "none" : "…"}</span>;
}

/** The runs of a trigger, newest first, with their outcomes. */
export function Runs({ app, trigger }: { app: App; trigger: Trigger }) {
  const query = useEvents(app, trigger);
  return (
    <Loaded query={query} lines={3}>
      {(found) =>
        found.length === 0 ? (
          <p class="muted">No runs yet, or they were deleted: only the last of each outcome are kept.</p>
        ) : (
          <table class="lines cards" aria-label="Runs">
            <Columns of={["STATUS", "BEGAN", "TOOK", "JOB"]} />
            <tbody>
              {found.map((event) => (
                <Run key={event.id} event={event} />
              ))}
            </tbody>
          </table>
        )
      }
    </Loaded>
  );
}

function Run({ event }: { event: TriggerEvent }) {
  const began = event.started_at ?? event.created_at;
  return (
    <tr>
      <td>
        <Status word={WORDS[event.status]} />
        {event.message && <p class="small break">{event.message}</p>}
      </td>
      <td data-label="Began">
        <Time at={began} />
      </td>
      <td data-label="Took">
        {event.ended_at ? (
          duration((Date.parse(event.ended_at) - Date.parse(began)) / 1000)
        ) : (
          <span class="muted">goes on</span>
        )}
      </td>
      <td data-label="Job" class="mono">
        {event.name}
      </td>
    </tr>
  );
}
