import { useEffect } from "preact/hooks";
import { actOnRun, type RunAct, readOpenRun, readRunEvents } from "../../api/runs.ts";
import { versionOf, waitOf, waysOn } from "../../pure/open-runs.ts";
import { aboutOf, type EventLog, withEvents } from "../../pure/run-events.ts";
import { shortId, took } from "../../pure/run-words.ts";
import type { App, BackgroundRun } from "../../pure/shapes.ts";
import { plural } from "../../pure/texts.ts";
import { moment } from "../../pure/time.ts";
import { type Query, refresh, update, useQuery } from "../../state/query.ts";
import { useRows } from "../../state/rows.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { FigureTable } from "../../ui/figures.tsx";
import { usePoll } from "../../ui/poll.ts";
import { Loaded, Trouble } from "../../ui/states.tsx";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";
import { toast } from "../../ui/toasts.tsx";
import { Callbacks } from "./callbacks.tsx";
import { Content } from "./content.tsx";
import { type Deed, Foot } from "./foot.tsx";
import { IdOf, Tiles } from "./tiles.tsx";

const LOOKED_AGAIN_AFTER = 1_000;
const NEXT = "it ends at its next node";

interface Props {
  app: App;
  runId: string;
  right?: Right;
  /** What is asked about at first: `Cancel`. */
  first?: string;
  /** Called if the journal has it no more. */
  onGone: () => void;
}

/** A background run, and its events as they come, until it ends. */
export function OpenRun({ app, runId, right, first, onGone }: Props) {
  const key = `open-run ${runId}`;
  const query = useQuery(key, (signal) => readOpenRun(app.id, runId, signal));
  const events: Query<EventLog> = useQuery(`run-events ${runId}`, async (signal) => {
    const log = events.data.value;
    return withEvents(log, await readRunEvents(app.id, runId, log?.last ?? 0, signal));
  });
  const log = events.data.value;
  // A read waits for an event: the next one follows it at once.
  usePoll(LOOKED_AGAIN_AFTER, () => log?.ended || void events.refresh());
  useEffect(() => void (log && query.refresh()), [log?.last]);
  const isGone = query.problem.value?.isUnknown;
  useEffect(() => void (isGone && onGone()), [isGone]);
  const run = query.data.value;
  return (
    <>
      <div class="body run">
        <Loaded query={query} lines={10}>
          {(run) => (
            <>
              <Facts app={app} run={run} />
              {run.error && <p class="notice bad break">{run.error.message ?? run.error.code}</p>}
              <Callbacks {...{ app, run, right }} />
              <h3>Events</h3>
              <Trouble query={events} says="Newer events are missing" retry={() => void events.refresh()} />
              <FigureTable
                label="Events"
                head={["EVENT", "NODE", "TIME"]}
                rows={(log?.shown ?? []).map((event) => [event.type, aboutOf(event), moment(event.timestamp)])}
              />
              <Content label="Input of the run" value={run.input} />
              <Content label="Output of the run" value={run.output} />
            </>
          )}
        </Loaded>
      </div>
      {run?.ended_at ? (
        <footer>
          <div class="buttons end">
            <Action onClick={onGone}>Nodes, tokens and cost</Action>
          </div>
        </footer>
      ) : (
        // What a held run lets do is known with it.
        run && <Foot key={run.state} right={right} first={first} deeds={deedsOf(app, run)} />
      )}
    </>
  );
}

const SAYS: Record<Deed["does"], [says: string, undone: string]> = {
  Restart: [
    "It begins again with its input, on what is live now. What its nodes have done and asked is dropped.",
    "The run is still held",
  ],
  Release: ["It goes on where it was, on its own version.", "The run is still held"],
  Cancel: ["It ends at its next node. What its nodes have done stays.", "The run goes on"],
};

/** What can be done with a run that has not ended. */
function deedsOf(app: App, run: BackgroundRun): Deed[] {
  return [...waysOn(run), "Cancel"].map((does) => {
    const [says, undone] = SAYS[does] as [string, string];
    return {
      ...{ does, says, undone, why: run.cancel_requested && NEXT },
      act: async () => {
        const after = await actOnRun(app.id, run.id, does.toLowerCase() as RunAct);
        update<BackgroundRun>(`open-run ${run.id}`, () => after);
        // One that ended by itself meanwhile stays as it is.
        toast(
          `Run ${shortId(run.id)}: ${after.ended_at ? after.status : after.cancel_requested ? NEXT : "it goes on"}`,
        );
      },
      onDone: () => refresh("open-runs"),
    };
  });
}

function Facts({ app, run }: { app: App; run: BackgroundRun }) {
  const version = versionOf(run, useRows(app));
  return (
    <Tiles
      facts={[
        ["Status", <Status key="status" word={run.status} />],
        ["Why", run.cancel_requested && !run.ended_at ? "to be canceled at its next node" : waitOf(run) || run.reason],
        ["Version", version],
        ["Node", run.node],
        ["Accepted", <Time key="accepted" at={run.accepted_at} full />],
        ["Took", run.started_at && took(run.busy_ms)],
        ["Attempts", run.attempts > 0 && `${plural(run.attempts, "interruption")} since its last progress`],
        ["Access Key", run.key],
        ["Trigger", run.trigger],
        ["Session", run.session_id],
        ["User", run.user_id],
        ["Tags", run.tags.join(", ")],
        ["Id", <IdOf key="id" id={run.id} />],
      ]}
    />
  );
}
