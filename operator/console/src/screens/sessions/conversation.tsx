import { useEffect, useRef, useState } from "preact/hooks";
import { readMessages } from "../../api/sessions.ts";
import { rowInWords, textIn } from "../../pure/session-words.ts";
import type { App, AppRights, Message } from "../../pure/shapes.ts";
import { useQuery } from "../../state/query.ts";
import { Action } from "../../ui/action.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { usePoll } from "../../ui/poll.ts";
import { Empty, Loaded } from "../../ui/states.tsx";
import { Time } from "../../ui/time.tsx";
import { Content } from "../runs/content.tsx";
import "../runs/runs.css";

const LOOKED_AGAIN_AFTER = 4_000;

interface Props {
  app: App;
  /** The session's id, as its caller named it. */
  id: string;
  rights?: AppRights;
  onClose: () => void;
}

/** What was said in a session, oldest first. */
export function Conversation({ app, id, rights, onClose }: Props) {
  return (
    <Dialog title="Session" side wide onClose={onClose}>
      <div class="body run">
        <p class="mono break" dir="auto">
          {id}
        </p>
        {rights?.run_contents.allowed === false && (
          <p class="muted break">
            You may not see what was said{rights.run_contents.needs && `: ${rights.run_contents.needs}`}.
          </p>
        )}
        <Messages {...{ app, id }} before={0} />
      </div>
      <footer>
        <div class="buttons end">
          <Action href={`/console/apps/${app.id}/runs?${new URLSearchParams({ session_id: id })}`}>Its runs</Action>
        </div>
      </footer>
    </Dialog>
  );
}

interface PageProps extends Pick<Props, "app" | "id"> {
  /** Where the page begins; the first one has none. */
  cursor?: string;
  /** How many messages come before it. */
  before: number;
}

/** A page of messages, and once somebody asks for it the next one. The last page is read again: a turn may follow. */
function Messages({ app, id, cursor, before }: PageProps) {
  const key = `messages ${app.id} ${cursor} ${id}`;
  const query = useQuery(key, (signal) => readMessages(app.id, id, cursor, signal));
  const [isOpen, open] = useState(false);
  const list = useRef<HTMLOListElement>(null);
  const found = query.data.value;
  usePoll(LOOKED_AGAIN_AFTER, () => found?.pagination.next_cursor || void query.refresh());
  // Whoever asked for more goes on at the first of them.
  useEffect(() => {
    if (cursor && found) (list.current?.firstElementChild as HTMLElement | null)?.focus();
  }, [found === undefined]);
  return (
    <Loaded query={query} lines={8}>
      {({ data, pagination }) => (
        <>
          {data.length > 0 ? (
            <ol class="stack messages" start={before + 1} ref={list} aria-label={cursor ? "More turns" : "Turns"}>
              {data.map((message, at) => (
                <Turn key={message.id} {...{ app, message, number: before + at + 1 }} />
              ))}
            </ol>
          ) : (
            <Empty title="Nothing is recorded of it" />
          )}
          {pagination.next_cursor &&
            (isOpen ? (
              <Messages {...{ app, id }} cursor={pagination.next_cursor} before={before + data.length} />
            ) : (
              <Action onClick={() => open(true)}>Show later turns</Action>
            ))}
        </>
      )}
    </Loaded>
  );
}

function Turn({ app, message, number }: { app: App; message: Message; number: number }) {
  return (
    <li class="stack" tabIndex={-1}>
      <p class="small muted buttons">
        <span>Turn {number}</span>
        <span>{rowInWords(message.row)}</span>
        <Time at={message.created_at} full />
        <a href={`/console/apps/${app.id}/runs/${message.trace_id}`}>
          Trace<span class="hidden-label"> of turn {number}</span>
        </a>
      </p>
      <Content label={`Input of turn ${number}`} value={textIn(message.input) || null} />
      <Content label={`Output of turn ${number}`} value={textIn(message.output) || null} />
    </li>
  );
}
