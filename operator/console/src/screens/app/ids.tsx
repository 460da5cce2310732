import type { App } from "../../pure/shapes.ts";
import { quoted } from "../../pure/shell.ts";
import { Command, Copy } from "../../ui/copy.tsx";

/** What the management API and kubectl know it by. */
export function Ids({ app }: { app: App }) {
  const ids: [string, string | null][] = [
    ["App", app.id],
    ["Workflow", app.workflow_id],
    ["Workflow version", app.workflow_version_id],
    ["Runtime", app.runtime_id],
    ["Project", app.project_id],
  ];
  return (
    <section class="panel" aria-labelledby="ids">
      <header>
        <h2 id="ids">Ids</h2>
      </header>
      <div class="inside column">
        <dl class="facts ids">
          {ids.map(
            ([label, id]) =>
              id && (
                <div key={label}>
                  <dt>{label}</dt>
                  <dd>
                    <code>{id}</code>
                    <Copy text={id} label={`Copy the id: ${label}`} />
                  </dd>
                </div>
              ),
          )}
        </dl>
        <Command text={`kubectl dynamiq status ${quoted(app.resource_name)} -n ${quoted(app.namespace)}`} />
      </div>
    </section>
  );
}
