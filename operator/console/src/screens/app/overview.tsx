import type { App, AppRights } from "../../pure/shapes.ts";
import { useRow } from "../../state/row.ts";
import { Action } from "../../ui/action.tsx";
import { Empty } from "../../ui/states.tsx";
import { Rules } from "../guards/rules.tsx";
import { Snippets } from "./calls.tsx";
import { Conditions } from "./conditions.tsx";
import { GitAsks } from "./git.tsx";
import { Ids } from "./ids.tsx";
import { LiveNow } from "./live.tsx";
import { News } from "./news.tsx";

/** What an App serves, how it is, and how it is called. */
export function OverviewTab({ app, rights }: { app: App; rights?: AppRights }) {
  const live = useRow(app.id, app.live?.deployment_id ?? undefined);
  return (
    <>
      <Rules app={app} rights={rights} />
      <News app={app} />
      <div class="overview">
        <div class="column">
          {app.live ? (
            <LiveNow app={app} live={app.live} row={live} rights={rights} />
          ) : (
            <NotLive app={app} rights={rights} />
          )}
          {app.git && <GitAsks app={app} git={app.git} live={live.data.value} />}
          <Conditions conditions={app.conditions} />
        </div>
        <div class="column">
          <Snippets app={app} flow={live.data.value?.flow} />
          <Ids app={app} />
        </div>
      </div>
    </>
  );
}

function NotLive({ app, rights }: { app: App; rights?: AppRights }) {
  return (
    <section class="panel">
      <Empty title="Nothing is live">
        <p class="muted">
          {app.waiting.length > 0
            ? "Calls are answered as soon as the first deployment is admitted."
            : app.under_way
              ? "Calls are answered as soon as the first deployment is live."
              : "Deploy a version of its workflow, and calls are answered."}
        </p>
        {!app.under_way && app.waiting.length === 0 && (
          <Action right={rights?.deploy} href={`/console/apps/${app.id}/deploy`} kind="primary">
            Deploy
          </Action>
        )}
      </Empty>
    </section>
  );
}
