import { addressOf } from "../../pure/address.ts";
import type { App, AppRights } from "../../pure/shapes.ts";
import { Action } from "../../ui/action.tsx";
import { Copy } from "../../ui/copy.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Status } from "../../ui/status.tsx";

/** Name, status, where it answers, and what can be done with it. */
export function AppHeading({ app, rights }: { app: App; rights?: AppRights }) {
  const address = addressOf(app.hostname);
  return (
    <div class="heading">
      <div>
        <div class="buttons">
          <h1 class="break" tabIndex={-1}>
            {app.name}
          </h1>
          <Status word={app.status.word} />
        </div>
        <p class="small muted buttons">
          <span class="break">{[app.namespace, app.environment].filter(Boolean).join(" · ")}</span>
          {address && (
            <span class="line">
              <a class="break" href={address} target="_blank" rel="noreferrer">
                {app.hostname} <Icon shape="external" />
                <span class="hidden-label"> (opens in a new window)</span>
              </a>
              <Copy text={address} label="Copy the address" />
            </span>
          )}
        </p>
      </div>
      <div class="buttons">
        <Action right={rights?.promote} href={`/console/apps/${app.id}/promote`}>
          Promote deployment
        </Action>
        <Action right={rights?.deploy} href={`/console/apps/${app.id}/deploy`} kind="primary">
          Deploy
        </Action>
      </div>
    </div>
  );
}
