import { useEffect } from "preact/hooks";
import { costOf, count, NONE, rowOf, shortId, tokensOf, took } from "../../pure/run-words.ts";
import type { App, Run } from "../../pure/shapes.ts";
import { Action } from "../../ui/action.tsx";
import { memo } from "../../ui/memo.ts";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";
import { useWindowRows } from "../../ui/window-rows.ts";
import type { RunList } from "./list.ts";

const COLUMNS = ["STATUS", "STARTED", "VERSION", "DURATION", "TOKENS", "COST", "CALLER"];
const HEIGHT = 52;
const COVERED = 92;
/** Rows before the end of those that are known, from which on the next page is read. */
const AHEAD = 30;

/** Runs, of which those in the window are rendered. */
export function RunTable({ app, list, search }: { app: App; list: RunList; search: string }) {
  const runs = list.runs.value;
  const fresh = list.fresh.value;
  const total = list.total.value;
  const rows = useWindowRows({
    of: list,
    count: runs.length,
    last: -list.older,
    estimate: HEIGHT,
    keep: undefined,
    covered: COVERED,
  });
  useEffect(() => {
    if (rows.last + AHEAD >= runs.length) list.more();
  }, [list, rows.last, runs.length]);
  const slowest = Math.max(...rows.rows.map(({ index }) => runs[index]?.duration_ms ?? 0), 1);
  return (
    <>
      {fresh.length > 0 && (
        <div class="arrived" role="status">
          <Action
            kind="primary"
            tiny
            onClick={() => {
              list.take();
              scrollTo({ top: Math.min(scrollY, rows.begin - COVERED) });
            }}
          >
            ↑ {fresh.length === 1 ? "1 new run" : `${fresh.length}${fresh.length < 100 ? "" : "+"} new runs`}
          </Action>
        </div>
      )}
      <div
        class="history-table"
        role="table"
        aria-label="Runs"
        aria-rowcount={total && !total.isMore ? total.count + 1 : -1}
        aria-colcount={COLUMNS.length}
      >
        <div role="rowgroup" class="head">
          <div role="row" class="row" aria-rowindex={1}>
            {COLUMNS.map((column) => (
              <span key={column} role="columnheader">
                {column}
              </span>
            ))}
          </div>
        </div>
        <div role="rowgroup" class="rows" ref={rows.list} style={{ height: `${rows.height}px` }}>
          {rows.rows.map(({ index, place, top }) => (
            <RunRow
              key={place}
              run={runs[index] as Run}
              address={`/console/apps/${app.id}/runs/${runs[index]?.id}${search}`}
              index={index}
              place={place}
              top={top}
              share={(runs[index]?.duration_ms ?? 0) / slowest}
              measure={rows.measure}
            />
          ))}
        </div>
      </div>
    </>
  );
}

interface RowProps {
  run: Run;
  address: string;
  index: number;
  place: number;
  top: number;
  /** Its duration, of the slowest one's in sight. */
  share: number;
  measure: (element: HTMLElement | null) => void;
}

const RunRow = memo(({ run, address, index, place, top, share, measure }: RowProps) => (
  <div
    role="row"
    class="row"
    aria-rowindex={index + 2}
    data-place={place}
    ref={measure}
    style={{ transform: `translateY(${top}px)` }}
  >
    <div role="cell" class="outcome" title={run.error ?? undefined}>
      <span class="first">
        <Status word={run.status} />
        <a class="mono" href={address}>
          {shortId(run.id)}
        </a>
      </span>
      {(run.error ?? run.reason) && <span class="small muted one-line">{run.error ?? run.reason}</span>}
    </div>
    <div role="cell" class="date">
      <Time at={run.started_at} full />
    </div>
    <div role="cell" class="version">
      {rowOf(run)}
    </div>
    <div role="cell" class="length">
      {took(run.duration_ms)}
      <span class="meter" aria-hidden="true">
        <span style={{ width: `${Math.max(share * 100, 2)}%` }} />
      </span>
    </div>
    <div role="cell" class="number tokens">
      {count(tokensOf(run), true)}
    </div>
    <div role="cell" class="number cost">
      {costOf(run)}
    </div>
    <div role="cell" class="caller" title={[callerOf(run), ...run.tags].join(" · ")}>
      <span class="one-line">{callerOf(run)}</span>
      {run.tags.length > 0 && <span class="small muted one-line">{run.tags.join(", ")}</span>}
    </div>
  </div>
));

const callerOf = ({ trigger, user_id, session_id }: Run) =>
  [trigger && `trigger ${trigger}`, user_id, session_id].filter(Boolean).join(" · ") || NONE;
