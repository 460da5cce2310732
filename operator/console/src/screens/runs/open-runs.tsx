import { versionOf, waitOf, waysOn } from "../../pure/open-runs.ts";
import { count, NONE, shortId } from "../../pure/run-words.ts";
import type { App, BackgroundRun } from "../../pure/shapes.ts";
import { connection } from "../../state/connection.ts";
import { useOpenRuns } from "../../state/open-runs.ts";
import { useRows } from "../../state/rows.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { FigureTable } from "../../ui/figures.tsx";
import { usePoll } from "../../ui/poll.ts";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";

interface Props {
  app: App;
  /** To do something with a run. */
  right?: Right;
  /** Milliseconds until it is read again. */
  every: number;
}

/** The background runs of an App that have not ended, if there are any, and the caller may see them. */
export function OpenRuns({ app, right, every }: Props) {
  const query = useOpenRuns(app.id);
  const rows = useRows(app);
  const status = query.problem.value?.status;
  // Without a journal, or the right, it stays so while the page is open.
  const isClosed = status === 501 || status === 403;
  usePoll(every, () => isClosed || void query.refresh());
  if (status === 503 && connection.value === "online") {
    return <p class="small muted">Background runs are unknown: the journal does not answer</p>;
  }
  const found = query.data.value;
  if (isClosed || !found?.data.length) return null;
  const total = found.pagination.total_count;
  return (
    <section class="panel" aria-label="Background runs">
      <header>
        <h2>
          Background runs{" "}
          <span class="small muted total" role="status">
            {count(total)} open{total > found.data.length && `, the newest ${found.data.length} are here`}
          </span>
        </h2>
      </header>
      <div class="inside">
        <FigureTable
          label="Open runs"
          head={["RUN", "VERSION", "NODE", "ACCEPTED", "ATTEMPTS"]}
          rows={found.data.map((run) => [
            <>
              <Status word={run.status} />{" "}
              <a class="mono" href={addressOf(app, run)}>
                {shortId(run.id)}
              </a>
              <Waits {...{ app, run, right }} />
            </>,
            versionOf(run, rows),
            run.node ?? NONE,
            <Time key="accepted" at={run.accepted_at} />,
            run.attempts,
          ])}
        />
      </div>
    </section>
  );
}

const addressOf = (app: App, run: BackgroundRun) => `/console/apps/${app.id}/runs/${run.id}?open=true`;

/** Why a run does nothing, and of a held one what can be done about it: its dialog asks once more. */
function Waits({ app, run, right }: { app: App; run: BackgroundRun; right?: Right }) {
  const ways = waysOn(run);
  return (
    <>
      {" "}
      <span class="muted">{waitOf(run)}</span>
      {ways.length > 0 && (
        <span class="buttons">
          {[...ways, "Cancel"].map((does) => (
            <Action key={does} tiny right={right} href={`${addressOf(app, run)}&ask=${does}`}>
              {does}…<span class="hidden-label"> run {shortId(run.id)}</span>
            </Action>
          ))}
        </span>
      )}
    </>
  );
}
