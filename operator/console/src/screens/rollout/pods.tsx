import { readPods } from "../../api/pods.ts";
import { isUnderWay } from "../../pure/row-words.ts";
import type { App, AppRights, OneDeployment, Pod } from "../../pure/shapes.ts";
import { refresh, useQuery } from "../../state/query.ts";
import { useAppEvents } from "../../state/watch.ts";
import { usePoll } from "../../ui/poll.ts";
import { Empty, Loaded } from "../../ui/states.tsx";
import { OnePod } from "./pod.tsx";

const EACH_UNDER_WAY = 3_000;
const EACH_AFTERWARDS = 15_000;

interface Props {
  app: App;
  row: OneDeployment;
  rights?: AppRights;
}

/** The pods of a row, under the caller's own right to see them. */
export function Pods({ app, row, rights }: Props) {
  const lacks = rights && !rights.pods.allowed ? (rights.pods.needs ?? "ask an administrator") : undefined;
  return (
    <section class="panel" aria-labelledby="pods">
      <header>
        <h2 id="pods">Pods</h2>
      </header>
      {lacks ? (
        <Empty title="You may not see its pods">
          <p class="muted break">It takes: {lacks}.</p>
        </Empty>
      ) : (
        <List app={app} row={row} rights={rights} />
      )}
    </section>
  );
}

function List({ app, row, rights }: Props) {
  const key = `pods ${row.id}`;
  const pods = useQuery(key, (signal) => readPods(app.id, row.id, signal));
  const each = isUnderWay(row) ? EACH_UNDER_WAY : EACH_AFTERWARDS;
  useAppEvents(app.id, { onDeployment: (told) => told.id === row.id && refresh(key), onAgain: () => refresh(key) });
  // The watch tells of rows, not of every pod: a restart or an Event changes no row.
  usePoll(each, () => refresh(key));
  return (
    <Loaded query={pods} lines={3}>
      {(found) =>
        found.length === 0 ? (
          <NoPods app={app} row={row} />
        ) : (
          <ul class="pods">
            {found.map((pod) => (
              <li key={pod.name}>
                <OnePod app={app} row={row} pod={pod} right={rights?.logs} isOpen={pod === worst(found)} />
              </li>
            ))}
          </ul>
        )
      }
    </Loaded>
  );
}

function NoPods({ app, row }: { app: App; row: OneDeployment }) {
  const isAsleep = row.is_live && app.status.word === "Asleep";
  return (
    <p class="inside muted">
      {isAsleep
        ? "None: it sleeps, and the next call wakes it."
        : row.status === "Pending"
          ? "None yet: they start when the rollout does."
          : "None: this row's pods have ended."}
    </p>
  );
}

/** The pod to look at first: one that is in trouble. */
function worst(pods: Pod[]): Pod | undefined {
  return pods.find((pod) => !pod.ready && pod.reason) ?? (pods.length === 1 ? pods[0] : undefined);
}
