import { useMemo } from "preact/hooks";
import { visible } from "../../pure/diff.ts";
import { nodesOf } from "../../pure/flow.ts";
import type { Workflow } from "../../pure/shapes.ts";
import { plural } from "../../pure/texts.ts";
import { Copy } from "../../ui/copy.tsx";
import { Pieces } from "../../ui/diff.tsx";

const NODES_FIRST = 40;
/** Letters of a flow that are drawn: more would hold the page up. */
const LETTERS_MOST = 100_000;

/** The draft's flow, to read: its nodes in order, each with its type and what it waits for, and the whole text. */
export function Flow({ workflow }: { workflow: Workflow }) {
  const nodes = useMemo(() => nodesOf(workflow.flow), [workflow.flow]);
  const text = useMemo(() => JSON.stringify(workflow.flow, null, 2), [workflow.flow]);
  return (
    <section class="panel" aria-label="Flow">
      <header>
        <h2>Flow</h2>
        <span class="small muted">{plural(nodes.length, "node")} of the draft</span>
      </header>
      {workflow.flow_error ? (
        <p class="inside">This flow cannot be shown: {workflow.flow_error}</p>
      ) : (
        <div class="inside column">
          <ol class="nodes">
            {nodes.slice(0, NODES_FIRST).map((node) => (
              <li key={node.id}>
                <strong class="break">{node.name}</strong> <code title={node.type}>{node.kind}</code>
                {node.after.length > 0 && <p class="small muted break">after {node.after.join(", ")}</p>}
              </li>
            ))}
          </ol>
          {nodes.length > NODES_FIRST && <p class="small muted">and {nodes.length - NODES_FIRST} more, in the text.</p>}
          <details>
            <summary class="small">As text</summary>
            <Text text={text} />
          </details>
        </div>
      )}
    </section>
  );
}

function Text({ text }: { text: string }) {
  const isCut = text.length > LETTERS_MOST;
  const lines = useMemo(() => text.slice(0, LETTERS_MOST).split("\n").map(visible), [text]);
  return (
    <div class="stack">
      <Copy text={text} label="Copy the flow" />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and a keyboard has to reach it. */}
      <section class="text" tabIndex={0} aria-label="The flow as text">
        <pre>
          {lines.map((pieces, at) => (
            <span key={at}>
              <Pieces pieces={pieces} />
              {"\n"}
            </span>
          ))}
        </pre>
      </section>
      {isCut && <p class="small muted">It is longer: copy it to see all of it.</p>}
    </div>
  );
}
