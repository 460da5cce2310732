import { count, NONE } from "../../pure/run-words.ts";
import { rowInWords } from "../../pure/session-words.ts";
import type { App, Conversations } from "../../pure/shapes.ts";
import { FigureTable } from "../../ui/figures.tsx";
import { Time } from "../../ui/time.tsx";

/** How many conversations belong to which row: the newest row first. */
export function ConversationPanel({ app, found }: { app: App; found: Conversations[] }) {
  return (
    <section class="panel" aria-label="Conversations">
      <header>
        <h2>Conversations</h2>
        <span class="small muted">Each stays on the row that it began on</span>
      </header>
      <div class="inside">
        <FigureTable
          label="Conversations by row"
          head={["ROW", "OPEN", "ACTIVE", "MOVED", "LAST TURN"]}
          rows={found.map(({ row, deployment_id, pins, sessions, recent, moved, last_turn }) => [
            deployment_id ? (
              <a href={`/console/apps/${app.id}/history/${deployment_id}`}>{rowInWords(row)}</a>
            ) : row ? (
              rowInWords(row)
            ) : (
              <code class="break">{pins}</code>
            ),
            count(sessions),
            count(recent),
            count(moved),
            last_turn ? <Time at={last_turn} /> : NONE,
          ])}
        />
      </div>
    </section>
  );
}
