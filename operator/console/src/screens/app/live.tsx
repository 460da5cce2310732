import { readLastGood } from "../../api/history.ts";
import { readMetrics } from "../../api/runs.ts";
import { computeInWords, scalingInWords, typeInWords } from "../../pure/config-words.ts";
import { figuresInWords } from "../../pure/run-words.ts";
import type { App, AppRights, OneDeployment } from "../../pure/shapes.ts";
import { plural } from "../../pure/texts.ts";
import { type Query, useQuery } from "../../state/query.ts";
import { useVerdict } from "../../state/verdicts.ts";
import { Action } from "../../ui/action.tsx";
import { Fact } from "../../ui/fact.tsx";
import { By } from "../../ui/person.tsx";
import { RunsOfRow } from "../../ui/runs-of-row.tsx";
import { Said } from "../../ui/said.tsx";
import { Failure, Skeleton } from "../../ui/states.tsx";
import { Time } from "../../ui/time.tsx";

interface Props {
  app: App;
  live: NonNullable<App["live"]>;
  row: Query<OneDeployment>;
  rights?: AppRights;
}

/** The row that serves: which version, why, by whom, on what. */
export function LiveNow({ app, live, row, rights }: Props) {
  const found = row.data.value;
  const problem = row.problem.value;
  const id = live.deployment_id;
  // What was rolled back, reverted or rejected since is not known by what is live alone.
  const key = `last good ${app.id} ${id} ${app.under_way?.deployment_id}`;
  const good = useQuery(key, (signal) => readLastGood(app.id, signal)).data.value;
  const before = good?.deployment;
  return (
    <section class="panel" aria-labelledby="live-now">
      <header>
        <h2 id="live-now">
          Live: {live.version} <span class="muted">#{live.sequence}</span>
        </h2>
        <div class="buttons">
          {id && (
            <Action tiny href={`/console/apps/${app.id}/history/${id}`}>
              Details
            </Action>
          )}
          {before && (
            <Action right={rights?.roll_back} href={`/console/apps/${app.id}/history/${before.id}/roll-back`} tiny>
              Roll back{before.workflow_version ? ` to ${before.workflow_version.version}` : ""}…
            </Action>
          )}
        </div>
      </header>
      {found ? (
        <Facts app={app} row={found} />
      ) : !id ? (
        <p class="inside muted">Its row was deleted, or you may not read it.</p>
      ) : problem ? (
        <Failure problem={problem} retry={() => void row.refresh()} />
      ) : (
        <Skeleton lines={5} />
      )}
      {good?.reason && (
        <p class="inside muted small">
          There is no version to roll back to: <Said text={good.reason} isPart />.
        </p>
      )}
      {app.warm.length > 0 && <Warm warm={app.warm} />}
    </section>
  );
}

function Facts({ app, row }: { app: App; row: OneDeployment }) {
  const compute = computeInWords(row.deployment_config.config.resources);
  return (
    <div class="inside column">
      {(row.message || row.workflow_version?.description) && (
        <div>
          {row.message && <p class="break message">{row.message}</p>}
          {row.workflow_version?.description && <p class="break muted small">{row.workflow_version.description}</p>}
        </div>
      )}
      <dl class="facts">
        <Fact label="Deployed">
          <Time at={row.created_at} />
          <By author={row.created_by} />
        </Fact>
        {row.provenance && <Fact label="From">{row.provenance}</Fact>}
        {app.workflow_id && (
          <Fact label="Workflow">
            <a href={`/console/workflows/${app.workflow_id}`}>{app.workflow.name}</a>
          </Fact>
        )}
        <Fact label="Runtime">
          {row.runtime ? row.runtime.version : "none"}{" "}
          {row.runtime?.label && <span class="muted">{row.runtime.label}</span>}
        </Fact>
        <Fact label="Type">
          {typeInWords(row.deployment_config.deployment_type)}, {scalingInWords(row.deployment_config)}
          {compute && <p class="small muted">{compute}</p>}
        </Fact>
        <Fact label="Pods">
          <Pods app={app} row={row} />
        </Fact>
        <RecentRuns app={app} row={row} />
        <Fact label="Access">
          {app.access_control.access_type === "private" ? (
            <>
              private, with an <a href={`/console/apps/${app.id}/configuration`}>Access Key</a>
            </>
          ) : (
            "public"
          )}
        </Fact>
      </dl>
    </div>
  );
}

/** The last day's runs, and what this row did to them, where a recorder says so. */
function RecentRuns({ app, row }: { app: App; row: OneDeployment }) {
  const isRecorded = useVerdict(app.id, row.id) !== undefined;
  const recent = useQuery(isRecorded ? `recent ${app.id}` : undefined, (signal) => readMetrics(app.id, {}, signal));
  if (!isRecorded) return null;
  const total = recent.data.value?.series[0]?.total;
  return (
    <Fact label="Runs">
      <RunsOfRow app={app.id} row={row.id} />
      {recent.data.value && (
        <p class="small muted">
          Last 24 hours: <a href={`/console/apps/${app.id}/monitoring`}>{total ? figuresInWords(total) : "no runs"}</a>
        </p>
      )}
    </Fact>
  );
}

function Pods({ app, row }: { app: App; row: OneDeployment }) {
  const { ready } = row;
  if (app.status.word === "Asleep") return <>none: it sleeps, and the next call wakes it</>;
  // While a rollout shares its workload, the count is of the new pods.
  const count = ready && !app.under_way ? `${ready.ready} of ${ready.wanted} ready` : "";
  return (
    <>
      {count}{" "}
      <a class="small" href={`/console/apps/${app.id}/rollouts/${row.id}`}>
        Pods and logs
      </a>
    </>
  );
}

function Warm({ warm }: { warm: App["warm"] }) {
  return (
    <div class="inside warm">
      <h3>Kept warm</h3>
      <ul>
        {warm.map((each) => (
          <li key={each.version}>
            {each.version ?? "A version"}: {plural(each.pods_ready, "pod")} ready
          </li>
        ))}
      </ul>
    </div>
  );
}
