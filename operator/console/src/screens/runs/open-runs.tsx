import { readOpenRuns } from "../../api/runs.ts";
import { versionOf } from "../../pure/open-runs.ts";
import { count, NONE, shortId } from "../../pure/run-words.ts";
import type { App } from "../../pure/shapes.ts";
import { connection } from "../../state/connection.ts";
import { useQuery } from "../../state/query.ts";
import { useRows } from "../../state/rows.ts";
import { FigureTable } from "../../ui/figures.tsx";
import { usePoll } from "../../ui/poll.ts";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";

interface Props {
  app: App;
  /** Milliseconds until it is read again. */
  every: number;
}

/** The background runs of an App that have not ended, if there are any, and the caller may see them. */
export function OpenRuns({ app, every }: Props) {
  const query = useQuery(`open-runs ${app.id}`, (signal) => readOpenRuns(app.id, signal));
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
              <a class="mono" href={`/console/apps/${app.id}/runs/${run.id}?open=true`}>
                {shortId(run.id)}
              </a>
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
