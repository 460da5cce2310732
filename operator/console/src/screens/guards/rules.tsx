import { useState } from "preact/hooks";
import { approvalsOf, bannersOf, offered, waitsOf } from "../../pure/guards.ts";
import { numberOf } from "../../pure/row-words.ts";
import type { App, AppRights, Guard, Waiting } from "../../pure/shapes.ts";
import { refresh } from "../../state/query.ts";
import { useRow } from "../../state/row.ts";
import { user } from "../../state/session.ts";
import { useAppEvents } from "../../state/watch.ts";
import { Action } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { By } from "../../ui/person.tsx";
import { Said } from "../../ui/said.tsx";
import { Moment, Time } from "../../ui/time.tsx";
import { ResumeDialog, SuspendDialog } from "../parts.ts";

interface Props {
  app: App;
  rights?: AppRights;
  /** The filters of the history below, which a dialog over it keeps. */
  search?: string;
}

/** What keeps deploys of an App from going live at this moment, and the rows that wait, each with what can be done about it. */
export function Rules({ app, rights, search = "" }: Props) {
  useFreshWaits(app);
  const banners = bannersOf(app);
  if (banners.length + app.waiting.length === 0) return null;
  return (
    <section class="rules" aria-label="Rules for deploys">
      {banners.map((guard) => (
        <Banner key={guard.message} {...{ app, rights, guard }} />
      ))}
      {app.waiting.length > 0 && (
        <ul aria-label="Deployments that wait">
          {app.waiting.map((row) => (
            <WaitingRow key={row.deployment_id} {...{ app, rights, row, search }} />
          ))}
        </ul>
      )}
    </section>
  );
}

/** Reads the App again where one of its rows waits for something else by now: that changes the row alone, and no event tells the App. */
function useFreshWaits(app: App): void {
  useAppEvents(app.id, {
    onDeployment: (told) => {
      const known = app.waiting.find((row) => row.deployment_id === told.id)?.waits ?? null;
      if (JSON.stringify(known) !== JSON.stringify(waitsOf(told))) refresh(`app ${app.id}`);
    },
  });
}

const TITLES: Record<string, string> = {
  Suspended: "Suspended",
  Held: "Changes from Git are on hold",
  GuardsUnknown: "The rules cannot be read",
};

function Banner({ app, rights, guard }: Props & { guard: Guard }) {
  const [isOpen, open] = useState(false);
  const close = () => open(false);
  const isSuspended = guard.reason === "Suspended";
  // A row that is held is resumed as what it is: what it would do is shown beside it. A rollback holds before it is live, and is resumed once it is.
  const isHeld = guard.reason === "Held" && !app.waiting.some((row) => !row.waits || row.waits.resumable);
  const live = useRow(app.id, (isHeld && app.live?.deployment_id) || undefined).data.value;
  // A row that took a version back before there were holds says nothing of its own: the App does.
  const isLetGo = isHeld && live && (live.holds || app.holds?.row === live.name);
  return (
    <div class={isSuspended ? "notice bad" : "notice warn"}>
      <span class="line">
        <Icon shape={guard.reason === "Frozen" ? "clock" : "warning"} />
        <span class="break">
          <b>
            {guard.reason === "Frozen" ? "Frozen" : TITLES[guard.reason]}
            {guard.until && (
              <>
                {" until "}
                <Moment at={guard.until} />
              </>
            )}
            :
          </b>{" "}
          <Said text={guard.message} />
        </span>
      </span>
      {isSuspended && (
        <Action right={rights?.suspend} tiny onClick={() => open(true)}>
          Take it off…
        </Action>
      )}
      {isLetGo && (
        <Action right={rights?.resume} tiny onClick={() => open(true)}>
          Resume…
        </Action>
      )}
      {isOpen && isSuspended && <SuspendDialog app={app} onClose={close} />}
      {isOpen && isLetGo && <ResumeDialog app={app} onClose={close} />}
    </div>
  );
}

function WaitingRow({ app, rights, row, search }: Props & { row: Waiting }) {
  const whole = useRow(app.id, row.deployment_id).data.value;
  const waits = (whole && waitsOf(whole)) ?? row.waits;
  const title = `${row.version ?? ""} (${numberOf(row)})`.trim();
  const isAuthor = whole?.created_by?.username === user.value?.username;
  const counted = waits ? approvalsOf(waits) : "";
  return (
    <li class="notice warn">
      <span class="line">
        <Icon shape="clock" />
        <span class="break">
          <b>{title} waits</b>
          {counted && <span class="counted">{counted}</span>}
          {waits?.until && (
            <span class="counted">
              until <Moment at={waits.until} />
            </span>
          )}
          {waits && (
            <p>
              <Said text={waits.message} />
            </p>
          )}
          {whole && (
            <p class="small">
              Asked <Time at={whole.created_at} />
              <By author={whole.created_by} />
              {whole.message && `: ${whole.message}`}
            </p>
          )}
        </span>
      </span>
      <Action tiny href={`/console/apps/${app.id}/history/${row.deployment_id}/review${search}`}>
        {waits && whole ? offered(waits, isAuthor, rights) : "Look at it"}…<span class="hidden-label"> {title}</span>
      </Action>
    </li>
  );
}
