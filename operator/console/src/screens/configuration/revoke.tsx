import { revokeKey } from "../../api/configuration.ts";
import type { AccessKey, App } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { useWrite } from "../../state/write.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { toast } from "../../ui/toasts.tsx";

interface Props {
  app: App;
  /** The key to revoke, of all that there are. */
  doomed: AccessKey;
  keys: AccessKey[];
  onClose: () => void;
  onRevoked: () => void;
}

/** Asks before a key is revoked, and says whose calls fail from then on. */
export function RevokeDialog({ app, doomed, keys, onClose, onRevoked }: Props) {
  const write = useWrite();
  const left = keys.filter(({ name }) => name !== doomed.name);
  const revoke = async () => {
    const isDone = await write.run(() => revokeKey(app.id, doomed.name));
    if (!isDone) return;
    toast(`Key ${doomed.name} of ${app.name} is revoked`);
    onRevoked();
  };
  return (
    <Dialog title={`Revoke key ${doomed.name}`} onClose={onClose}>
      <div class="body">
        <p>
          Whoever calls <strong>{app.name}</strong> with <strong>{doomed.name}</strong>
          {doomed.begins && (
            <>
              {" "}
              (<code>{doomed.begins}…</code>)
            </>
          )}{" "}
          is refused in a few seconds, 90 at most. This cannot be undone.
        </p>
        <ul class="notes">
          <li>{says(left)}</li>
          {left.length > 0 && usedByTriggers(keys) === doomed.name && (
            <li>
              The App's triggers call with this key. From then on they call with <strong>{usedByTriggers(left)}</strong>
              .
            </li>
          )}
        </ul>
      </div>
      <footer>
        <Command
          text={line("kubectl", "dynamiq", "keys", "revoke", app.resource_name, doomed.name, "-n", app.namespace)}
        />
        <ProblemNotice problem={write.problem} undone="The key still works" gone="The key is gone" />
        <div class="buttons end">
          <Action onClick={onClose}>Cancel</Action>
          <Action kind="danger" disabled={write.isBusy} onClick={() => void revoke()}>
            {write.isBusy ? "Revoking…" : `Revoke ${doomed.name}`}
          </Action>
        </div>
      </footer>
    </Dialog>
  );
}

function says(left: AccessKey[]): string {
  if (left.length === 0) return "It is the last one: nobody can call the App then, and its triggers fail.";
  const names = left.map(({ name }) => name).join(", ");
  return left.length === 1
    ? `One more of its keys stays: ${names}.`
    : `${left.length} more of its keys stay: ${names}.`;
}

/** The key with which triggers call: the one named `default`, else the first by name. */
function usedByTriggers(keys: AccessKey[]): string | undefined {
  const names = keys.map(({ name }) => name).sort();
  return names.includes("default") ? "default" : names[0];
}
