import { useState } from "preact/hooks";
import { deleteRun, readRun } from "../../api/runs.ts";
import { asRunSearch, readRunFilters } from "../../pure/run-filters.ts";
import { costOf, rowOf, shortId, tokensInWords, took } from "../../pure/run-words.ts";
import type { App, AppRights, WholeRun } from "../../pure/shapes.ts";
import { useLocation } from "../../state/location.tsx";
import { useQuery } from "../../state/query.ts";
import { useWrite } from "../../state/write.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { Copy } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { Loaded } from "../../ui/states.tsx";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";
import { toast } from "../../ui/toasts.tsx";
import { Content, Contents } from "./content.tsx";
import { shownList } from "./index.tsx";
import { Nodes } from "./nodes.tsx";
import "./runs.css";
import { Scores } from "./scores.tsx";

interface Props {
  app: App;
  runId: string;
  rights?: AppRights;
}

/** One run: how it went, where its time went, and what it was given and gave, for those who may see that. */
export function RunDialog({ app, runId, rights }: Props) {
  const { query: address, route } = useLocation();
  const [withContent, showContent] = useState(false);
  const key = `run ${runId} ${withContent}`;
  const query = useQuery(key, (signal) => readRun(runId, withContent, signal));
  const base = `/console/apps/${app.id}/runs`;
  const close = () => route(`${base}${asRunSearch(readRunFilters(address))}`);
  return (
    <Dialog title={`Run ${shortId(runId)}`} onClose={close} side wide>
      <div class="body run">
        <Loaded query={query} lines={10}>
          {(run) => (
            <>
              <Facts app={app} run={run} />
              {run.error && <p class="notice bad break">{run.error}</p>}
              <Nodes run={run} />
              <Contents state={run.content} right={rights?.run_contents} onShow={() => showContent(true)}>
                <Content label="Input of the run" value={run.input} />
                <Content label="Output of the run" value={run.output} />
              </Contents>
              <Scores run={run} right={rights?.runs_score} onScored={() => void query.refresh()} />
            </>
          )}
        </Loaded>
      </div>
      <Foot runId={runId} right={rights?.runs_delete} onDeleted={close} />
    </Dialog>
  );
}

function Facts({ app, run }: { app: App; run: WholeRun }) {
  const base = `/console/apps/${app.id}`;
  const of = (name: string, text: string | null) =>
    text && <a href={`${base}/runs?${new URLSearchParams({ [name]: text })}`}>{text}</a>;
  const row = rowOf(run);
  const facts: [string, preact.ComponentChildren][] = [
    ["Status", <Status key="status" word={run.status} />],
    ["Why", run.reason],
    ["Deployment", run.deployment_id ? <a href={`${base}/history/${run.deployment_id}`}>{row}</a> : row],
    ["Started", <Time key="started" at={run.started_at} full />],
    ["Took", took(run.duration_ms)],
    ["First chunk", run.first_chunk_ms !== null && `after ${took(run.first_chunk_ms)}`],
    ["Tokens", tokensInWords(run)],
    ["Cost", costOf(run)],
    ["Models", run.models.join(", ")],
    ["Trigger", of("trigger", run.trigger)],
    ["Session", of("session_id", run.session_id)],
    ["User", of("user_id", run.user_id)],
    ["Tags", run.tags.length > 0 && run.tags.map((tag) => <span key={tag}>{of("tag", tag)} </span>)],
    ["From", run.source === "runtime" ? "" : run.source],
    ["Id", <IdOf key="id" id={run.id} />],
  ];
  return (
    <dl class="tiles">
      {facts.map(
        ([label, what]) =>
          what && (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{what}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

function IdOf({ id }: { id: string }) {
  return (
    <>
      <code>{shortId(id)}…</code>
      <Copy text={id} label="Copy the id" />
    </>
  );
}

function Foot({ runId, right, onDeleted }: { runId: string; right?: Right; onDeleted: () => void }) {
  const write = useWrite();
  const [isAsking, ask] = useState(false);
  const remove = async () => {
    if (!(await write.run(() => deleteRun(runId)))) return;
    toast(`Run ${shortId(runId)} is deleted`);
    shownList?.drop(runId);
    onDeleted();
  };
  return (
    <footer>
      <ProblemNotice problem={write.problem} undone="The run is still there" gone="The run is gone" />
      <div class="buttons end">
        {isAsking ? (
          <>
            <span>It is deleted for good, with its content and scores.</span>
            <Action onClick={() => ask(false)}>Cancel</Action>
            <Action kind="danger" disabled={write.isBusy} onClick={() => void remove()}>
              Delete this run
            </Action>
          </>
        ) : (
          <>
            <a class="button" href={`/v1/runs/${runId}/trace`} target="_blank" rel="noreferrer">
              Trace (JSON)
            </a>
            <Action right={right} kind="danger" onClick={() => ask(true)}>
              Delete…
            </Action>
          </>
        )}
      </div>
    </footer>
  );
}
