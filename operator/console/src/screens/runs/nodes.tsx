import { useState } from "preact/hooks";
import { type TreeRow, treeOf } from "../../pure/run-tree.ts";
import { count, dollars, tokensInWords, tokensOf, took } from "../../pure/run-words.ts";
import type { RunNode, WholeRun } from "../../pure/shapes.ts";
import { Columns } from "../../ui/columns.tsx";
import { Status } from "../../ui/status.tsx";
import { Content } from "./content.tsx";

/** Where the time of a run went: its nodes as a tree, each with a bar from its begin to its end; more of each on demand. */
export function Nodes({ run }: { run: WholeRun }) {
  const [closed, close] = useState<ReadonlySet<string>>(new Set());
  const [chosen, choose] = useState<string>();
  const whole = Math.max(run.duration_ms, ...run.nodes.map((node) => node.offset_ms + node.duration_ms), 0.001);
  if (run.nodes.length === 0) {
    return <p class="muted">{run.nodes_kept ? "No node ran." : "Its nodes were too old to be kept."}</p>;
  }
  const shown = run.nodes.find((node) => node.span_id === chosen);
  return (
    <>
      <table class="waterfall" aria-label="Nodes">
        <Columns
          of={[
            "NODE",
            <span class="scale">
              <span>0</span> <span>{took(whole)}</span>
            </span>,
            "TOOK",
            "TOKENS",
            "COST",
          ]}
        />
        <tbody>
          {treeOf(run.nodes, closed).map((row) => {
            const id = row.node.span_id;
            return (
              <NodeRow
                key={id}
                row={row}
                whole={whole}
                isOpen={!closed.has(id)}
                isChosen={id === chosen}
                onChoose={() => choose(id === chosen ? undefined : id)}
                onToggle={() =>
                  close(new Set(closed.has(id) ? [...closed].filter((each) => each !== id) : [...closed, id]))
                }
              />
            );
          })}
        </tbody>
      </table>
      {shown && <NodeDetails node={shown} />}
    </>
  );
}

interface RowProps {
  row: TreeRow;
  whole: number;
  isOpen: boolean;
  isChosen: boolean;
  onChoose: () => void;
  onToggle: () => void;
}

function NodeRow({ row: { node, level, isParent }, whole, isOpen, isChosen, onChoose, onToggle }: RowProps) {
  const tokens = tokensOf(node);
  return (
    <tr class={isChosen ? "chosen" : undefined}>
      <th scope="row" style={{ paddingLeft: `${Math.min(level, 8) * 1.1}rem` }}>
        <span class="hidden-label">Level {level}: </span>
        {isParent && (
          <button
            type="button"
            class="twist"
            aria-expanded={isOpen}
            aria-label={`What ran in ${node.name}`}
            onClick={onToggle}
          >
            ›
          </button>
        )}
        <button type="button" class="link" aria-expanded={isChosen} onClick={onChoose}>
          {node.name}
        </button>{" "}
        <span class="small muted">{node.model ?? node.type}</span>{" "}
        {node.status !== "succeeded" && <Status word={node.status} />}
      </th>
      <td class="lane">
        <span
          class={`bar ${node.status}${node.model ? " model" : ""}`}
          style={{ left: `${(node.offset_ms / whole) * 100}%`, width: `${(node.duration_ms / whole) * 100}%` }}
        />
        <span class="hidden-label">after {took(node.offset_ms)}</span>
      </td>
      <td class="number">{took(node.duration_ms)}</td>
      <td class="number">{tokens !== null && count(tokens, true)}</td>
      <td class="number">{node.cost_usd !== null ? dollars(node.cost_usd) : node.model && "unpriced"}</td>
    </tr>
  );
}

function NodeDetails({ node }: { node: RunNode }) {
  const facts = [
    `after ${took(node.offset_ms)}`,
    node.provider,
    tokensInWords(node),
    node.attempts > 1 && `${node.attempts} attempts`,
    node.cached && "answered from a cache",
    node.error_type && (node.error_line ? `${node.error_type} in line ${node.error_line}` : node.error_type),
  ];
  return (
    <section class="stack node" aria-label={`Node ${node.name}`}>
      <h3>{node.name}</h3>
      <p class="small muted">{facts.filter(Boolean).join(" · ")}</p>
      {node.error && <p class="notice bad break">{node.error}</p>}
      <Content label={`Input of ${node.name}`} value={node.input} />
      <Content label={`Output of ${node.name}`} value={node.output} />
    </section>
  );
}
