import { useState } from "preact/hooks";
import { deleteRun, readOpenRun, readRun } from "../../api/runs.ts";
import { asRunSearch, readRunFilters } from "../../pure/run-filters.ts";
import { costOf, rowOf, shortId, tokensInWords, took } from "../../pure/run-words.ts";
import type { App, AppRights, WholeRun } from "../../pure/shapes.ts";
import { useLocation } from "../../state/location.tsx";
import { useOpenRuns } from "../../state/open-runs.ts";
import { useQuery } from "../../state/query.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { Loaded } from "../../ui/states.tsx";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";
import { toast } from "../../ui/toasts.tsx";
import { Content, Contents } from "./content.tsx";
import { Foot } from "./foot.tsx";
import { shownList } from "./index.tsx";
import { Nodes } from "./nodes.tsx";
import { Callbacks, OpenRun } from "./parts.ts";
import "./runs.css";
import { Scores } from "./scores.tsx";
import { IdOf, Tiles } from "./tiles.tsx";

interface Props {
  app: App;
  runId: string;
  rights?: AppRights;
}

/** One run: how it went, where its time went, and what it was given and gave, for those who may see that. */
export function RunDialog(props: Props) {
  const { app, runId, rights } = props;
  const { query: address, route } = useLocation();
  const [isGone, setGone] = useState(false);
  const close = () => route(`/console/apps/${app.id}/runs${asRunSearch(readRunFilters(address))}`);
  return (
    <Dialog title={`Run ${shortId(runId)}`} onClose={close} side wide>
      {address.open && !isGone ? (
        // To cancel a run takes the right to score one: update apps/runs.
        <OpenRun {...{ app, runId, right: rights?.runs_score, first: address.ask }} onGone={() => setGone(true)} />
      ) : (
        <RecordedRun {...props} onDeleted={close} />
      )}
    </Dialog>
  );
}

function RecordedRun({ app, runId, rights, onDeleted }: Props & { onDeleted: () => void }) {
  const [withContent, showContent] = useState(false);
  const query = useQuery(`run ${runId} ${withContent}`, (signal) => readRun(runId, withContent, signal));
  // Where there is no journal, or the caller may not read runs, it is not asked for a run.
  const hasJournal = useOpenRuns(app.id).data.value !== undefined;
  const inJournal = useQuery(hasJournal ? `open-run ${runId}` : undefined, (signal) =>
    readOpenRun(app.id, runId, signal),
  ).data.value;
  return (
    <>
      <div class="body run">
        <Loaded query={query} lines={10}>
          {(run) => (
            <>
              <Facts app={app} run={run} />
              {run.error && <p class="notice bad break">{run.error}</p>}
              {inJournal && inJournal.callbacks.length > 0 && (
                <Callbacks {...{ app, run: inJournal, right: rights?.runs_score }} />
              )}
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
      <Foot
        right={rights?.runs_delete}
        deeds={[
          {
            does: "Delete",
            says: "It is deleted for good, with its content and scores.",
            undone: "The run is still there",
            gone: "The run is gone",
            act: () => deleteRun(runId),
            onDone: () => {
              toast(`Run ${shortId(runId)} is deleted`);
              shownList?.drop(runId);
              onDeleted();
            },
          },
        ]}
      >
        <a class="button" href={`/v1/runs/${runId}/trace`} target="_blank" rel="noreferrer">
          Trace (JSON)
        </a>
      </Foot>
    </>
  );
}

function Facts({ app, run }: { app: App; run: WholeRun }) {
  const base = `/console/apps/${app.id}`;
  const of = (name: string, text: string | null) =>
    text && <a href={`${base}/runs?${new URLSearchParams({ [name]: text })}`}>{text}</a>;
  const row = rowOf(run);
  return (
    <Tiles
      facts={[
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
      ]}
    />
  );
}
