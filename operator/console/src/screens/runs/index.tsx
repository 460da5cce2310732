import { useEffect, useRef } from "preact/hooks";
import { isUnrecorded, readRuns } from "../../api/runs.ts";
import { asRunQuery, asRunSearch, isRunFiltered, type RunFilters, readRunFilters } from "../../pure/run-filters.ts";
import { count } from "../../pure/run-words.ts";
import type { App, AppRights } from "../../pure/shapes.ts";
import { onReturn } from "../../state/connection.ts";
import { useLocation } from "../../state/location.tsx";
import { useQuestions } from "../../state/questions.ts";
import { Action } from "../../ui/action.tsx";
import { usePoll } from "../../ui/poll.ts";
import { Empty, Failure, Skeleton, Trouble } from "../../ui/states.tsx";
import { Unrecorded } from "../monitoring/unrecorded.tsx";
import { RunFilterBar } from "./filters.tsx";
import { RunList } from "./list.ts";
import { OpenRuns } from "./open-runs.tsx";
import { QuestionList } from "./parts.ts";
import "./runs.css";
import { RunTable } from "./table.tsx";

const LOOKED_AGAIN_AFTER = 4_000;
/** The list that is on the screen: a run that is deleted in the dialog over it goes from it. */
export let shownList: RunList | undefined;

/** The Runs tab: the background runs of an App that have not ended, and every run that was recorded. */
export function RunsTab({ app, rights }: { app: App; rights?: AppRights }) {
  const { route } = useLocation();
  const filters = useFilters(app.id);
  const list = useList(app.id, filters);
  const change = (next: RunFilters) => route(`/console/apps/${app.id}/runs${asRunSearch(next)}`);
  const total = list.total.value;
  const problem = list.problem.value;
  const unrecorded = app.conditions.find(({ type, status }) => type === "Recorded" && status === "False");
  if (isUnrecorded(problem)) return <Unrecorded />;
  return (
    <>
      <Questions app={app} />
      <OpenRuns app={app} right={rights?.runs_score} every={LOOKED_AGAIN_AFTER} />
      <section class="panel history runs" aria-label="Runs">
        <header>
          <h2>
            Runs{" "}
            {total && (
              <span class="small muted total" role="status">
                {count(total.count)}
                {total.isMore && "+"} {total.count === 1 ? "run" : "runs"}
              </span>
            )}
          </h2>
        </header>
        <RunFilterBar app={app} filters={filters} onChange={change} />
        {unrecorded && <p class="notice warn trouble">{unrecorded.message}</p>}
        {list.runs.value.length > 0 ? (
          <>
            <Trouble query={list} retry={list.again} />
            <RunTable app={app} list={list} search={asRunSearch(filters)} />
          </>
        ) : problem ? (
          <Failure problem={problem} retry={list.again} />
        ) : !total ? (
          <Skeleton lines={10} />
        ) : list.isSearching.value ? (
          <Empty title="Searching older runs…" />
        ) : isRunFiltered(filters) ? (
          <Empty title="No run fits these filters">
            <Action onClick={() => change({})}>Clear the filters</Action>
          </Empty>
        ) : (
          <Empty title="No run is recorded yet">
            <p class="muted">Each call of this App becomes a row here.</p>
          </Empty>
        )}
      </section>
    </>
  );
}

/** The questions that wait for a person, once there are any: a form for one that is gone stays. */
function Questions({ app }: { app: App }) {
  const had = useRef(false);
  const { found } = useQuestions(app.id);
  had.current ||= Boolean(found?.data.length);
  return had.current ? <QuestionList app={app} /> : null;
}

/** The filters of the address; under a dialog that another tab's link opened, those that were there. */
function useFilters(app: string): RunFilters {
  const { path, query } = useLocation();
  const last = useRef<RunFilters>({});
  if (path.startsWith(`/console/apps/${app}/runs`)) last.current = readRunFilters(query);
  return last.current;
}

function useList(app: string, filters: RunFilters): RunList {
  const key = `${app} ${asRunSearch(filters)}`;
  const kept = useRef<{ key: string; list: RunList } | undefined>(undefined);
  if (kept.current?.key !== key) {
    kept.current?.list.stop();
    const list = new RunList(asRunQuery(filters), (query, signal) => readRuns(app, query, signal));
    kept.current = { key, list };
  }
  const { list } = kept.current;
  shownList = list;
  useEffect(() => () => kept.current?.list.stop(), []);
  useEffect(() => onReturn(list.again), [list]);
  // In another order what is new is somewhere: it is there when the list is read anew. One that had no answer yet is read again in any order.
  usePoll(LOOKED_AGAIN_AFTER, () => (!filters.sort || list.total.value === undefined) && void list.look());
  return list;
}
