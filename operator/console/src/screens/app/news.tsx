import type { App } from "../../pure/shapes.ts";
import { withoutDot } from "../../pure/texts.ts";
import { Action } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Said } from "../../ui/said.tsx";

/** What one has to know first: a rollout that is under way, and a deploy that failed. */
export function News({ app }: { app: App }) {
  const { under_way: coming, live } = app;
  const stopped = app.conditions.find((each) => each.type === "Progressing" && each.reason === "DeployFailed");
  if (coming) {
    return (
      <div class="notice busy" role="status">
        <span class="line">
          <Icon shape="ring" spins />
          <span class="break">
            <b>
              {coming.version ?? "A version"}
              {coming.sequence !== null && ` (#${coming.sequence})`}
            </b>{" "}
            is {coming.status === "Pending" ? "waiting" : "being rolled out"}
            {app.status.message && (
              <>
                : <Said text={withoutDot(app.status.message)} isPart />
              </>
            )}
            .{live && ` ${live.version} still serves.`}
          </span>
        </span>
        <Action tiny href={`/console/apps/${app.id}/rollouts/${coming.deployment_id}`}>
          Follow the rollout
        </Action>
      </div>
    );
  }
  if (app.status.word !== "Failed" && !stopped) return null;
  const row = app.latest_deployment_id;
  return (
    <div class="notice bad" role="status">
      <span class="line">
        <Icon shape="cross" />
        <span class="break">
          <Said text={withoutDot(stopped?.message ?? app.status.message ?? "The newest deployment failed")} />.
          {live && ` ${live.version} still serves.`}
        </span>
      </span>
      <Action tiny href={row ? `/console/apps/${app.id}/rollouts/${row}` : `/console/apps/${app.id}/history`}>
        Look at the rollout
      </Action>
    </div>
  );
}
