import { useEffect, useState } from "preact/hooks";
import { readConfiguration } from "../../api/configuration.ts";
import type { App, Configuration } from "../../pure/shapes.ts";
import { refresh, update, useQuery } from "../../state/query.ts";
import { useRights } from "../../state/rights.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { usePoll } from "../../ui/poll.ts";
import { Loaded } from "../../ui/states.tsx";
import { SuspendDialog } from "../guards/dialogs.tsx";
import { DeleteApp } from "./delete-app.tsx";
import { ConfigurationFacts } from "./facts.tsx";
import { ConfigurationForm } from "./form.tsx";
import { AccessKeys } from "./keys.tsx";
import { unfinished } from "./unfinished.ts";

/** Milliseconds until it is looked again whether the operator has taken a change. */
const LOOKED_AGAIN_AFTER = 2_000;

/** What an App is whichever version it runs: hostname, access, variables, keys; and its end. */
export function ConfigurationTab({ app }: { app: App }) {
  const rights = useRights(app.id).data.value;
  return (
    <div class="halves">
      <Configured app={app} right={rights?.configure} />
      <div class="column">
        <AccessKeys app={app} reads={rights?.keys_read} writes={rights?.keys_write} />
        <Suspension app={app} right={rights?.suspend} />
        <DeleteApp app={app} right={rights?.delete} />
      </div>
    </div>
  );
}

/** The hand brake: nothing of the App is deployed until it is taken off. */
function Suspension({ app, right }: { app: App; right?: Right }) {
  const [isOpen, open] = useState(false);
  return (
    <section class="panel" aria-label="Suspension">
      <header>
        <h2>{app.suspended ? "Deploys are suspended" : "Suspend deploys"}</h2>
        <Action right={right} onClick={() => open(true)}>
          {app.suspended ? "Take it off…" : "Suspend…"}
        </Action>
      </header>
      <p class="inside muted small">While suspended, nobody can deploy {app.name}. It keeps running.</p>
      {isOpen && <SuspendDialog app={app} onClose={() => open(false)} />}
    </section>
  );
}

function Configured({ app, right }: { app: App; right?: Right }) {
  const key = `configuration ${app.id}`;
  const query = useQuery(key, (signal) => readConfiguration(app.id, signal));
  const [form, open] = useState(() => unfinished.get(app.id)?.before);
  // Somebody else may have changed it; a form that is open says so when it is saved.
  useEffect(() => void query.refresh(), [app.updated_at, query]);
  const isApplied = query.data.value?.is_applied ?? true;
  usePoll(LOOKED_AGAIN_AFTER, () => isApplied || void query.refresh());
  const finish = (saved?: Configuration) => {
    open(undefined);
    if (!saved) return;
    update(key, () => saved);
    refresh(`app ${app.id}`);
  };
  const title = form ? "Change the configuration" : "Configuration";
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {!form && query.data.value && (
          <Action right={right} onClick={() => open(query.data.value)}>
            Change
          </Action>
        )}
      </header>
      {form ? (
        <ConfigurationForm app={app} opened={form} onEnd={finish} />
      ) : (
        <Loaded query={query} lines={7}>
          {(found) => <ConfigurationFacts app={app} found={found} />}
        </Loaded>
      )}
    </section>
  );
}
