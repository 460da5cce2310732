import { type Difference, patchOf, type Settings } from "../../pure/settings.ts";
import type { App } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { Command } from "../../ui/copy.tsx";
import { Said } from "./said.tsx";

interface Props {
  app: App;
  from: Settings;
  to: Settings;
  changed: Difference[];
}

/** What would be saved, from what to what, with what it does to callers, and the same for a terminal. */
export function Changes({ app, from, to, changed }: Props) {
  if (changed.length === 0) return <p class="small muted">Nothing is changed yet.</p>;
  const hasNewPods = changed.some(({ field }) => field.startsWith("variables.") || field === "access_type");
  const hasNewAddress = changed.some(({ field }) => field === "hostname" || field === "exposure");
  const patch = JSON.stringify(patchOf(from, to));
  return (
    <>
      <h3>What changes</h3>
      <dl class="facts">
        {changed.map(({ field, label, from: old, to: fresh }) => (
          <Change key={field} label={label} from={old} to={fresh} />
        ))}
      </dl>
      <ul class="small notes">
        {hasNewPods && app.live && <li>The live version's pods are replaced one by one; calls are still answered.</li>}
        {hasNewAddress && from.hostname && from.hostname !== to.hostname && (
          <li>Whoever calls {from.hostname} gets no answer from this App any more.</li>
        )}
        {to.access_type === "public" && from.access_type === "private" && (
          <li>Anybody who reaches the App may call it, without a key.</li>
        )}
      </ul>
      <details>
        <summary class="small">The same with kubectl</summary>
        <Command
          text={line("kubectl", "patch", "app", app.resource_name, "-n", app.namespace, "--type=merge", "-p", patch)}
        />
      </details>
    </>
  );
}

function Change({ label, from, to }: { label: string; from: string | null; to: string | null }) {
  return (
    <>
      <dt>{label}</dt>
      <dd class="break">
        <del>
          <Said text={from} />
        </del>{" "}
        →{" "}
        <ins>
          <Said text={to} />
        </ins>
      </dd>
    </>
  );
}
