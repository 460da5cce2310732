import { offerOn, waitsOf } from "../../pure/guards.ts";
import { stepsOf } from "../../pure/rollout.ts";
import { isUnderWay, statusOf } from "../../pure/row-words.ts";
import type { App, AppRights, OneDeployment } from "../../pure/shapes.ts";
import { quoted } from "../../pure/shell.ts";
import { duration } from "../../pure/time.ts";
import { useRow } from "../../state/row.ts";
import { user } from "../../state/session.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { By } from "../../ui/person.tsx";
import { Said } from "../../ui/said.tsx";
import { Loaded } from "../../ui/states.tsx";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";
import { Elapsed } from "./elapsed.tsx";
import { Pods } from "./pods.tsx";
import { Steps } from "./steps.tsx";

/** How one row goes live, as it happens, and the pods that decide it. */
export function RolloutScreen({ app, rowId, rights }: { app: App; rowId: string; rights?: AppRights }) {
  const row = useRow(app.id, rowId);
  return (
    <Loaded query={row} lines={6}>
      {(found) => (
        <>
          <section class="panel" aria-labelledby="rollout">
            <header>
              <Title row={found} />
              <div class="buttons">
                <Action tiny href={`/console/apps/${app.id}/history/${found.id}`}>
                  Details
                </Action>
                {found.status === "Failed" && (
                  <Action right={rights?.deploy} href={`/console/apps/${app.id}/deploy`} tiny>
                    Deploy another version
                  </Action>
                )}
              </div>
            </header>
            <div class="inside column">
              {offerOn(found, user.value?.username, rights) && (
                <div class="notice warn">
                  <Said text={found.waits?.message ?? ""} />
                  <Action tiny href={`/console/apps/${app.id}/history/${found.id}/review`}>
                    {offerOn(found, user.value?.username, rights)}…
                  </Action>
                </div>
              )}
              <Steps steps={stepsOf(found, found.ready?.serving ?? app.live?.version)} />
            </div>
          </section>
          <Pods app={app} row={found} rights={rights} />
          <Command text={logsLine(app, found)} />
        </>
      )}
    </Loaded>
  );
}

function Title({ row }: { row: OneDeployment }) {
  return (
    <div>
      <h2 id="rollout" class="buttons">
        <span>
          Rollout of {row.workflow_version?.version ?? row.name}{" "}
          {row.sequence !== null && <span class="muted">#{row.sequence}</span>}
        </span>
        <Status word={waitsOf(row) ? "Waiting" : statusOf(row)} />
      </h2>
      <p class="small muted break">
        {row.message && <>{row.message} · </>}
        begun <Time at={row.created_at} />
        <By author={row.created_by} />
        {isUnderWay(row) ? (
          <>
            {" · "}
            <Elapsed since={row.created_at} />
          </>
        ) : (
          row.duration_seconds !== null && <> · took {duration(row.duration_seconds)}</>
        )}
      </p>
    </div>
  );
}

function logsLine(app: App, row: OneDeployment): string {
  return `kubectl dynamiq logs ${quoted(app.resource_name)} -n ${quoted(app.namespace)} --row ${quoted(row.name)} --tail 200`;
}
