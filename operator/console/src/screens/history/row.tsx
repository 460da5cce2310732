import { conversationsInWords } from "../../pure/conversations.ts";
import { approvalsOf, releasedBy, verifiedInWords, waitsOf } from "../../pure/guards.ts";
import { canComeBack, configOf, isUnderWay, numberOf, provenanceOf, statusOf, titleOf } from "../../pure/row-words.ts";
import type { App, Conversations, Ready, Row } from "../../pure/shapes.ts";
import { duration } from "../../pure/time.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { memo } from "../../ui/memo.ts";
import { Person } from "../../ui/person.tsx";
import { RunsOfRow } from "../../ui/runs-of-row.tsx";
import { Said } from "../../ui/said.tsx";
import { Status } from "../../ui/status.tsx";
import { now, Time } from "../../ui/time.tsx";

interface Shared {
  index: number;
  place: number;
  isActive: boolean;
  measure: (element: HTMLElement | null) => void;
  /** Pixels from the top of the list. */
  top: number;
}

interface Props extends Shared {
  row: Row & { ready?: Ready | null };
  app: App;
  search: string;
  right?: Right;
  /** It came in while the reader was here. */
  isFresh: boolean;
  isTicked: boolean;
  onTick: (row: Row) => void;
  /** What does not fit about the row, where it was verified. */
  misfit?: string;
  /** What it has of what is live, in words. */
  like: string;
  /** That its version is rejected, in a sentence. */
  rejected: string;
  /** Why the reader cannot bring it back; empty where they can. */
  whyNot: string;
  /** Those of each row that has some. */
  conversations: Conversations[];
  /** What the reader may do about it while it waits; empty where it does not. */
  offer: string;
}

/** What both kinds of rows have: where they lie, and what a screen reader counts them by. */
const attributesOf = ({ index, place, isActive, measure, top }: Shared) => ({
  role: "row" as const,
  "aria-rowindex": index + 2,
  "data-place": place,
  tabIndex: isActive ? 0 : -1,
  ref: measure,
  style: { transform: `translateY(${top}px)` },
});

/** A row that is being read. */
export function UnreadWholeRow(shared: Shared) {
  return (
    <div {...attributesOf(shared)} class="row unread">
      <span role="cell" class="details">
        <span class="skeleton" />
        <span class="hidden-label">is being read</span>
      </span>
    </div>
  );
}

/** One deployment. */
export const HistoryRow = memo(
  ({
    row,
    app,
    search,
    right,
    isFresh,
    isTicked,
    onTick,
    misfit,
    like,
    rejected,
    whyNot,
    conversations,
    offer,
    ...shared
  }: Props) => {
    const title = titleOf(row);
    const address = `/console/apps/${app.id}/history/${row.id}`;
    const classes = ["row", row.is_live && "live", misfit && "misfit", isTicked && "chosen", isFresh && "fresh"]
      .filter(Boolean)
      .join(" ");
    return (
      <div {...attributesOf(shared)} class={classes}>
        <div role="cell" class="pick">
          <label>
            <input type="checkbox" checked={isTicked} onChange={() => onTick(row)} />
            <span class="hidden-label">Compare {title}</span>
          </label>
        </div>
        <div role="cell" class="details">
          <Details row={row} misfit={misfit} like={like} rejected={rejected} whyNot={whyNot} />
          {(row.is_live || canComeBack(row)) && <RunsOfRow app={app.id} row={row.id} />}
          <Belonging row={row} conversations={conversations} />
        </div>
        <div role="cell" class="outcome">
          <Outcome row={row} app={app} />
        </div>
        <div role="cell" class="author">
          <span class="clamp">
            <Person name={row.created_by?.username} />
          </span>
        </div>
        <div role="cell" class="runtime" title={configOf(row.deployment_config)}>
          <span class="mono">{row.runtime?.version ?? "—"}</span>
          {row.runtime?.label && (
            <span class="small muted one-line" title={row.runtime.label}>
              {row.runtime.label}
            </span>
          )}
        </div>
        <div role="cell" class="date">
          <Time at={row.created_at} full />
        </div>
        <div role="cell" class="actions">
          {offer && (
            <Action tiny href={`${address}/review${search}`}>
              {offer}…<span class="hidden-label"> {title}</span>
            </Action>
          )}
          {canComeBack(row) && (
            <Action right={right} why={whyNot} href={`${address}/roll-back${search}`} tiny>
              <Icon shape="back" /> Roll back<span class="hidden-label"> to {title}</span>
            </Action>
          )}
          <Action kind="plain" tiny href={`${address}${search}`}>
            Details<span class="hidden-label"> of {title}</span>
          </Action>
        </div>
      </div>
    );
  },
);

function Details({
  row,
  misfit,
  like,
  rejected,
  whyNot,
}: Pick<Props, "row" | "misfit" | "like" | "rejected" | "whyNot">) {
  const version = row.workflow_version;
  const not = canComeBack(row) && !rejected ? whyNot : "";
  const from = provenanceOf(row);
  return (
    <>
      <span class="first">
        <Version row={row} /> <span class="muted">{numberOf(row)}</span>
        {row.is_live && row.status !== "Live" && <Status word="Live" />}{" "}
        <span class="description one-line" title={version?.description ?? undefined}>
          {version?.description}
        </span>
      </span>
      {(like || from || row.message) && (
        <span class="small muted clamp" title={row.message ?? undefined}>
          {like && <span class="like-live">{like}</span>}
          {like && (from || row.message) && " "}
          {from && <span class="from">{from}</span>}
          {from && row.message && " · "}
          {row.message}
        </span>
      )}
      <Marks row={row} />
      {rejected && (
        <span class="small rejected clamp" title={rejected}>
          <Icon shape="cross" /> <Said text={rejected} />
        </span>
      )}
      {not && (
        <span class="small muted clamp" title={not}>
          You cannot roll back to it: <Said text={not} isPart />
        </span>
      )}
      {misfit && (
        <span class="small says">
          <Icon shape="warning" /> Does not fit: {misfit}
        </span>
      )}
    </>
  );
}

/** How many conversations belong to the row, where it has some. */
function Belonging({ row, conversations }: Pick<Props, "row" | "conversations">) {
  const own = conversations.find(({ sequence }) => sequence !== null && sequence === row.sequence);
  if (!own) return null;
  return (
    <span class="small muted">
      {conversationsInWords(own)}
      {own.last_turn && (
        <>
          , last turn <Time at={own.last_turn} />
        </>
      )}
    </span>
  );
}

/** What the rules for deploys made of it: who let it go on, that its pods were asked first, or that it went past them. */
function Marks({ row }: Pick<Props, "row">) {
  const marks = [releasedBy(row), verifiedInWords(row)].filter(Boolean).join(" · ");
  return (
    <>
      {marks && <span class="small muted clamp">{marks}</span>}
      {row.bypass_reason && (
        <span class="small bypassed clamp" title={row.bypass_reason}>
          <Icon shape="warning" /> Past the rules: {row.bypass_reason}
        </span>
      )}
    </>
  );
}

/** The version, as a link to what changed with it, where the version is still there. */
export function Version({ row }: { row: Pick<Row, "workflow_id" | "workflow_version"> }) {
  const version = row.workflow_version;
  if (!version) return <span class="muted">no version</span>;
  if (!row.workflow_id || !version.id) return <strong>{version.version}</strong>;
  return (
    <a href={`/console/workflows/${row.workflow_id}/versions/${version.id}`}>
      <strong>{version.version}</strong>
    </a>
  );
}

/** How a deploy went, or goes: its status, how many pods are ready, why it failed, and how long it took. */
export function Outcome({ row, app }: { row: Props["row"]; app: App }) {
  const seconds =
    row.duration_seconds ?? (isUnderWay(row) ? (now.value - Date.parse(row.created_at)) / 1000 : undefined);
  const waits = waitsOf(row);
  const says = row.waits?.message ?? row.reason;
  return (
    <>
      <span class="first">
        <Status word={waits ? "Waiting" : statusOf(row)} />
        {waits ? (
          <span class="small muted">{approvalsOf(waits)}</span>
        ) : isUnderWay(row) ? (
          <a class="small" href={`/console/apps/${app.id}/rollouts/${row.id}`}>
            {row.ready ? `${row.ready.ready}/${row.ready.wanted} ready` : "Follow"}
          </a>
        ) : null}
        {seconds !== undefined && (
          <span class="small muted">
            {isUnderWay(row) ? "for" : "took"} {duration(Math.max(seconds, 0))}
          </span>
        )}
      </span>
      {says && (
        <span class="small muted clamp" title={says}>
          <Said text={says} isPart />
        </span>
      )}
    </>
  );
}
