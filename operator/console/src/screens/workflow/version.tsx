import { type Versions, versionOf } from "../../api/workflows.ts";
import type { AppOfList, Version, Workflow } from "../../pure/shapes.ts";
import { useLocation } from "../../state/location.tsx";
import { inProject } from "../../state/project.ts";
import type { Query } from "../../state/query.ts";
import { Action } from "../../ui/action.tsx";
import { Copy } from "../../ui/copy.tsx";
import { Diff } from "../../ui/diff.tsx";
import { Empty, Loaded } from "../../ui/states.tsx";
import { Time } from "../../ui/time.tsx";
import { useDifference } from "./difference.ts";
import { LiveIn } from "./live-in.tsx";
import { RejectAction, Rejected } from "./rejected.tsx";

interface Props {
  workflow: Workflow;
  versions: Query<Versions>;
  versionId: string;
  apps?: AppOfList[];
}

/** One version: what changed in it since another one, where it is live, and the way to deploy it. */
export function VersionScreen({ workflow, versions, versionId, apps }: Props) {
  return (
    <Loaded query={versions} lines={8} level={1}>
      {({ newest, total }) => {
        const at = newest.findIndex(({ id }) => id === versionId);
        const version = newest[at];
        if (version) return <OneVersion {...{ workflow, version, apps }} before={newest[at + 1]} all={newest} />;
        if (total > newest.length) return <OldVersion {...{ workflow, versionId, apps }} all={newest} />;
        return <Unknown workflow={workflow} />;
      }}
    </Loaded>
  );
}

function Unknown({ workflow }: { workflow: Workflow }) {
  return (
    <Empty title="There is no such version" level={1}>
      <p class="muted">It may have been deleted. Rows that ran it keep the flow that they pinned.</p>
      <Action href={`/console/workflows/${workflow.id}`}>To {workflow.name}</Action>
    </Empty>
  );
}

interface OldProps {
  workflow: Workflow;
  versionId: string;
  all: Version[];
  apps?: AppOfList[];
}

/** A version that is older than all that were listed: what the API says of it beside what changed. */
function OldVersion({ workflow, versionId, all, apps }: OldProps) {
  const query = useDifference(workflow, versionId);
  return (
    <Loaded query={query} lines={8} level={1}>
      {({ from, to }) => (
        <OneVersion
          {...{ workflow, all, apps }}
          version={versionOf(workflow.id, versionId, to)}
          before={from?.id ? { ...from, id: from.id } : undefined}
        />
      )}
    </Loaded>
  );
}

interface OneProps {
  workflow: Workflow;
  version: Version;
  before?: { id: string; version: string };
  all: Version[];
  apps?: AppOfList[];
}

function OneVersion({ workflow, version, before, all, apps }: OneProps) {
  const { path, query: address, route } = useLocation();
  const other = address.with || before?.id;
  const compare = (id: string) => route(id === before?.id ? path : `${path}?with=${id}`, true);
  return (
    <>
      <div class="heading">
        <div>
          <p class="small muted">
            <a href={inProject("/console/workflows")}>Workflows</a> ·{" "}
            <a href={`/console/workflows/${workflow.id}`}>{workflow.name}</a>
          </p>
          <h1 class="break">
            {workflow.name} {version.version}
          </h1>
          {version.description && <p class="break">{version.description}</p>}
          <Rejected says={version.rejected} />
          <p class="small muted buttons">
            <span>
              Released <Time at={version.created_at} />
            </span>
            {apps?.some((app) => app.live?.version === version.version) && (
              <span class="buttons">
                live in <LiveIn apps={apps} version={version.version} />
              </span>
            )}
            <span class="mono break">{version.id}</span>
            <Copy text={version.id} label="Copy the id" />
          </p>
        </div>
        <div class="buttons">
          {apps?.[0] && <RejectAction version={version} app={apps[0]} />}
          <Action kind="primary" href={`/console/workflows/${workflow.id}/deploy?version=${version.id}`}>
            Deploy {version.version}
          </Action>
        </div>
      </div>
      <section class="panel" aria-label="What changed">
        <header>
          <h2>What changed</h2>
          {all.length > 0 && (
            <label class="buttons small">
              Compare with
              <select class="input" value={other ?? ""} onChange={(event) => compare(event.currentTarget.value)}>
                {!before && <option value="">nothing before it</option>}
                {before && !all.some(({ id }) => id === before.id) && (
                  <option value={before.id}>{before.version} (before it)</option>
                )}
                <option value="draft">the draft</option>
                {all
                  .filter(({ id }) => id !== version.id)
                  .map(({ id, version: name }) => (
                    <option key={id} value={id}>
                      {name}
                      {id === before?.id ? " (before it)" : ""}
                    </option>
                  ))}
              </select>
            </label>
          )}
        </header>
        <div class="inside">
          {other ? (
            <Difference workflow={workflow} version={version} other={other} />
          ) : (
            <p class="muted">It is the first version: nothing came before it.</p>
          )}
        </div>
      </section>
    </>
  );
}

function Difference({ workflow, version, other }: { workflow: Workflow; version: Version; other: string }) {
  const query = useDifference(workflow, version.id, other);
  return (
    <Loaded query={query} lines={6}>
      {(found) => <Diff text={found.flow_diff} label="Flow" same="The flow is the same." />}
    </Loaded>
  );
}
