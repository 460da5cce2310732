import { useState } from "preact/hooks";
import { readLiveAt } from "../../api/history.ts";
import { problemOf } from "../../api/problem.ts";
import { atLine } from "../../pure/commands.ts";
import { fromLocal, toLocal } from "../../pure/local-time.ts";
import { configOf, provenanceOf, titleOf } from "../../pure/row-words.ts";
import type { App, LiveAt, Row } from "../../pure/shapes.ts";
import { sentence } from "../../pure/texts.ts";
import { useNewest } from "../../state/newest.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Fact } from "../../ui/fact.tsx";
import { Person } from "../../ui/person.tsx";
import { TextField } from "../../ui/text-field.tsx";
import { Moment } from "../../ui/time.tsx";

interface Props {
  app: App;
  onClose: () => void;
}

/** What the App served at a time that one asks for. */
export function LiveAtDialog({ app, onClose }: Props) {
  const [text, setText] = useState(() => toLocal(new Date().toISOString(), true));
  const [found, setFound] = useState<LiveAt>();
  const [wrong, setWrong] = useState("");
  const [isReading, setReading] = useState(false);
  const request = useNewest();
  const time = fromLocal(text);
  const show = async () => {
    const signal = request.begin();
    if (time === undefined) {
      setReading(false);
      setWrong("Choose a date and a time.");
      return;
    }
    setWrong("");
    setReading(true);
    try {
      setFound(await readLiveAt(app.id, time, signal));
    } catch (thrown) {
      if (signal.aborted) return;
      setFound(undefined);
      setWrong(problemOf(thrown).message);
    }
    if (!signal.aborted) setReading(false);
  };
  return (
    <Dialog title={`What was live of ${app.name}`} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void show();
        }}
      >
        <div class="body">
          <TextField
            type="datetime-local"
            step={1}
            label="Time"
            hint="In your own time zone."
            wrong={wrong}
            value={text}
            onChange={setText}
          />
          <div role="status" aria-busy={isReading}>
            {found && <Served app={app} found={found} />}
          </div>
          {time !== undefined && <Command text={atLine({ namespace: app.namespace, app: app.resource_name, time })} />}
        </div>
        <footer>
          <div class="buttons end">
            <Action onClick={onClose}>Close</Action>
            <Action kind="primary" type="submit" disabled={isReading}>
              Show
            </Action>
          </div>
        </footer>
      </form>
    </Dialog>
  );
}

function Served({ app, found }: { app: App; found: LiveAt }) {
  const { deployment: row, rolling_out: other } = found;
  if (!row) return <p class={found.known ? "muted" : "notice warn"}>{sentence(found.says)}.</p>;
  return (
    <dl class="facts">
      <Fact label="Live">
        <Link app={app} row={row} /> {row.workflow_version?.description}
      </Fact>
      <Fact label="From">
        {found.live_from && <Moment at={found.live_from} />}{" "}
        {found.live_until ? (
          <>
            until <Moment at={found.live_until} />
          </>
        ) : (
          "and it still is"
        )}
      </Fact>
      <Fact label="Created by">
        <Person name={row.created_by?.username} />
      </Fact>
      <Fact label="Runtime">{row.runtime?.version ?? "—"}</Fact>
      <Fact label="Config">{configOf(row.deployment_config)}</Fact>
      {(row.message || row.provenance) && (
        <Fact label="Message">{[provenanceOf(row), row.message].filter(Boolean).join(" · ")}</Fact>
      )}
      <Fact label="Digest">
        <code class="break">{row.digest}</code>
      </Fact>
      {other && (
        <Fact label="Rolled out then">
          <Link app={app} row={other} />: its pods may have answered calls, too
        </Fact>
      )}
    </dl>
  );
}

function Link({ app, row }: { app: App; row: Row }) {
  return <a href={`/console/apps/${app.id}/history/${row.id}`}>{titleOf(row)}</a>;
}
