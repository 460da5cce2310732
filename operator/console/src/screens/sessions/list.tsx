import { isUnrecorded } from "../../api/runs.ts";
import { readSessions } from "../../api/sessions.ts";
import { count, NONE } from "../../pure/run-words.ts";
import { lineOf, rowInWords } from "../../pure/session-words.ts";
import type { App, AppRights, Session } from "../../pure/shapes.ts";
import { useLocation } from "../../state/location.tsx";
import { useQuery } from "../../state/query.ts";
import { Action } from "../../ui/action.tsx";
import { Columns } from "../../ui/columns.tsx";
import { usePoll } from "../../ui/poll.ts";
import { Empty, Loaded } from "../../ui/states.tsx";
import { Time } from "../../ui/time.tsx";
import { Unrecorded } from "../monitoring/unrecorded.tsx";
import { Conversation } from "./conversation.tsx";

const LOOKED_AGAIN_AFTER = 10_000;

/** The Sessions tab: what callers said in one session each, that of the newest run first. */
export function SessionsTab({ app, rights }: { app: App; rights?: AppRights }) {
  const { query: address, route } = useLocation();
  const page = Math.max(Math.trunc(Number(address.page)) || 1, 1);
  const query = useQuery(`sessions ${app.id} ${page}`, (signal) => readSessions(app.id, page, signal));
  const isClosed = isUnrecorded(query.problem.value);
  usePoll(LOOKED_AGAIN_AFTER, () => isClosed || void query.refresh());
  if (isClosed) return <Unrecorded />;
  const found = query.data.value?.pagination;
  const addressOf = (more: Record<string, string>) =>
    `/console/apps/${app.id}/sessions?${new URLSearchParams({ ...(page > 1 && { page: String(page) }), ...more })}`;
  return (
    <section class="panel" aria-label="Sessions">
      <header>
        <h2>
          Sessions{" "}
          {found && (
            <span class="small muted total" role="status">
              {count(found.total_count)}
              {found.total_count >= found.counted_to && "+"}
            </span>
          )}
        </h2>
      </header>
      <Loaded query={query} lines={8}>
        {({ data, pagination }) => (
          <>
            {data.length > 0 ? (
              <SessionTable sessions={data} addressOf={(session) => addressOf({ session })} />
            ) : (
              <Empty title={page > 1 ? "No more sessions" : "No session is recorded yet"}>
                <p class="muted">A session is made of the calls that name the same session_id.</p>
              </Empty>
            )}
            {(page > 1 || page < pagination.page_count) && (
              <nav class="inside buttons" aria-label="Pages of sessions">
                <Action tiny why={page < 2 && "these are the newest"} href={addressOf({ page: String(page - 1) })}>
                  Newer
                </Action>
                <span class="small muted">Page {count(page)}</span>
                <Action
                  tiny
                  why={page >= pagination.page_count && "these are the oldest"}
                  href={addressOf({ page: String(page + 1) })}
                >
                  Older
                </Action>
              </nav>
            )}
          </>
        )}
      </Loaded>
      {address.session && (
        <Conversation
          key={address.session}
          {...{ app, rights, id: address.session }}
          onClose={() => route(addressOf({}).replace(/\?$/, ""))}
        />
      )}
    </section>
  );
}

function SessionTable({ sessions, addressOf }: { sessions: Session[]; addressOf: (id: string) => string }) {
  return (
    <table class="lines cards" aria-label="Sessions">
      <Columns of={["SESSION", "ROW", "BEGAN", "LAST TURN", "TURNS", "FIRST INPUT"]} />
      <tbody>
        {sessions.map(({ id, first_at, last_at, runs, failed, input, row }) => (
          <tr key={id}>
            <td class="id">
              <a class="mono clamp break" dir="auto" title={id} href={addressOf(id)}>
                {id}
              </a>
            </td>
            <td data-label="Row">{row ? rowInWords(row) : NONE}</td>
            <td data-label="Began">
              <Time at={first_at} />
            </td>
            <td data-label="Last turn">
              <Time at={last_at} />
            </td>
            <td data-label="Turns">
              {count(runs)}
              {failed > 0 && <span class="small muted"> {count(failed)} failed</span>}
            </td>
            <td data-label="First input">
              <span class="clamp" dir="auto">
                {lineOf(input) || NONE}
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
