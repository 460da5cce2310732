import type { ComponentChildren } from "preact";
import { shortId } from "../../pure/run-words.ts";
import { Copy } from "../../ui/copy.tsx";

interface Props {
  /** A name and what it is. What is nothing is left out. */
  facts: readonly (readonly [string, ComponentChildren])[];
  isPanel?: boolean;
}

/** Facts side by side, each below its name. */
export function Tiles({ facts, isPanel }: Props) {
  return (
    <dl class={isPanel ? "tiles panel" : "tiles"}>
      {facts.map(
        ([label, what]) =>
          what && (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{what}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** An id by its begin, to be copied whole. */
export function IdOf({ id }: { id: string }) {
  return (
    <>
      <code>{shortId(id)}…</code>
      <Copy text={id} label="Copy the id" />
    </>
  );
}
