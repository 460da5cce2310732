import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { readKeys } from "../../api/configuration.ts";
import type { AccessKey, App } from "../../pure/shapes.ts";
import { useQuery } from "../../state/query.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { ACTIONS, Columns } from "../../ui/columns.tsx";
import { Loaded } from "../../ui/states.tsx";
import { NewKeyDialog } from "./new-key.tsx";
import { RevokeDialog } from "./revoke.tsx";

interface Props {
  app: App;
  reads?: Right;
  writes?: Right;
}

/** Who may call the App: its Access Keys, by name and by how they begin. */
export function AccessKeys({ app, reads, writes }: Props) {
  const mayRead = reads?.allowed !== false;
  const key = mayRead ? `keys ${app.id}` : undefined;
  const query = useQuery(key, (signal) => readKeys(app.id, signal));
  const [dialog, open] = useState<"new" | AccessKey>();
  const isPublic = app.access_control.access_type === "public";
  // The first deploy makes the first key.
  const isBeforeFirst = query.data.value?.length === 0 && app.latest_deployment_id === null;
  const heading = useRef<HTMLHeadingElement>(null);
  const isRevoked = useRef(false);
  const close = () => {
    open(undefined);
    void query.refresh();
  };
  // The button of a revoked key goes with it: the focus would be nowhere.
  useLayoutEffect(() => {
    if (dialog !== undefined || !isRevoked.current) return;
    isRevoked.current = false;
    heading.current?.focus();
  }, [dialog]);
  return (
    <section class="panel" aria-label="Access Keys">
      <header>
        <h2 ref={heading} tabIndex={-1}>
          Access Keys
        </h2>
        <Action right={writes} onClick={() => open("new")} disabled={!mayRead || isBeforeFirst}>
          Create a key
        </Action>
      </header>
      {isPublic && <p class="inside small muted">This App is public: whoever reaches it may call it without a key.</p>}
      {!mayRead ? (
        <p class="inside muted">You may not see its keys: {reads?.needs ?? "ask an administrator"}.</p>
      ) : isBeforeFirst ? (
        <p class="inside muted">There is none yet: they are made with the App's first deploy.</p>
      ) : (
        <Loaded query={query} lines={2}>
          {(found) => (found.length === 0 ? <NoKeys /> : <KeyTable keys={found} writes={writes} onRevoke={open} />)}
        </Loaded>
      )}
      {dialog === "new" && <NewKeyDialog app={app} onClose={close} />}
      {typeof dialog === "object" && (
        <RevokeDialog
          app={app}
          doomed={dialog}
          keys={query.data.value ?? []}
          onClose={close}
          onRevoked={() => {
            isRevoked.current = true;
            close();
          }}
        />
      )}
    </section>
  );
}

function NoKeys() {
  return <p class="inside muted">No key: nobody can call this App, and its triggers fail. Create one.</p>;
}

interface TableProps {
  keys: AccessKey[];
  writes?: Right;
  onRevoke: (key: AccessKey) => void;
}

function KeyTable({ keys, writes, onRevoke }: TableProps) {
  return (
    <table class="lines">
      <Columns of={["NAME", "STARTS WITH", ACTIONS]} />
      <tbody>
        {keys.map((key) => (
          <tr key={key.name}>
            <td class="break">
              <strong>{key.name}</strong>
            </td>
            <td class="mono">{key.begins ? `${key.begins}…` : <span class="muted">not shown</span>}</td>
            <td class="end">
              <Action right={writes} kind="danger" tiny onClick={() => onRevoke(key)}>
                Revoke<span class="hidden-label"> {key.name}</span>
              </Action>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
