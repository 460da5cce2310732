import { useEffect } from "preact/hooks";
import { readComparison } from "../../api/history.ts";
import { type ComparedField, compareRows } from "../../pure/compare-rows.ts";
import { canComeBack, titleOf } from "../../pure/row-words.ts";
import type { App, WholeRow } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { useLocation } from "../../state/location.tsx";
import { type Query, useQuery } from "../../state/query.ts";
import { useRow } from "../../state/row.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Diff } from "../../ui/diff.tsx";
import { Person } from "../../ui/person.tsx";
import { Empty, Failure, Loaded, Skeleton } from "../../ui/states.tsx";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";
import { ComparedRuns } from "../monitoring/compare.tsx";
import "./history.css";
import { useRights } from "../../state/rights.ts";
import { kept } from "./kept.ts";

/** Two rows side by side: `a`, from which, and `b`, to which. */
export function CompareScreen({ app }: { app: App }) {
  const { query } = useLocation();
  const { a, b } = query;
  useEffect(() => kept.keep(), []);
  const back = (
    <Action tiny href={`/console/apps/${app.id}/history`}>
      Back to History
    </Action>
  );
  if (!a || !b) {
    return (
      <Empty title="Two rows are compared">
        <p class="muted">Tick two rows of the history, and Compare.</p>
        {back}
      </Empty>
    );
  }
  return (
    <section class="panel compare" aria-label="Compare">
      <header>
        <h2>Compare</h2>
        <div class="buttons">
          <Action tiny href={`/console/apps/${app.id}/compare?a=${b}&b=${a}`}>
            The other way round
          </Action>
          {back}
        </div>
      </header>
      <Pair app={app} a={a} b={b} />
    </section>
  );
}

function Pair({ app, a, b }: { app: App; a: string; b: string }) {
  const from = useRow(app.id, a) as Query<WholeRow>;
  const to = useRow(app.id, b) as Query<WholeRow>;
  return (
    <Loaded query={from} lines={10}>
      {(left) => (
        <Loaded query={to} lines={10}>
          {(right) => (
            <>
              <Fields app={app} from={left} to={right} />
              <ComparedRuns app={app} row={b} baseline={a} isQuiet />
              <div class="inside">
                <FlowChange app={app} from={left} to={right} />
              </div>
            </>
          )}
        </Loaded>
      )}
    </Loaded>
  );
}

function Fields({ app, from, to }: { app: App; from: WholeRow; to: WholeRow }) {
  const fields = compareRows(from, to);
  const differing = fields.filter((field) => field.differs && !field.isOwn).length;
  return (
    <>
      <p class="inside muted small">
        {differing === 0
          ? "Both rows run the same, in the same way."
          : `${differing} ${differing === 1 ? "field differs" : "fields differ"} in what they run and how.`}
      </p>
      <table class="compared">
        <thead>
          <tr>
            <th scope="col">
              <span class="hidden-label">Field</span>
            </th>
            <Side app={app} row={from} />
            <Side app={app} row={to} />
          </tr>
        </thead>
        <tbody>
          {fields.map((field) => (
            <tr key={field.label} class={field.differs ? (field.isOwn ? "own" : "differs") : undefined}>
              <th scope="row">
                {field.label}
                {field.differs && <span class="hidden-label"> (differs)</span>}
              </th>
              <td data-of={titleOf(from)}>
                <Value field={field} value={field.from} />
              </td>
              <td data-of={titleOf(to)}>
                <Value field={field} value={field.to} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Side({ app, row }: { app: App; row: WholeRow }) {
  const rights = useRights(app.id).data.value;
  const address = `/console/apps/${app.id}/history/${row.id}`;
  return (
    <th scope="col">
      <a href={address}>{titleOf(row)}</a> {row.is_live && <Status word="Live" />}{" "}
      {canComeBack(row) && (
        <Action right={rights?.roll_back} href={`${address}/roll-back`} tiny>
          Roll back<span class="hidden-label"> to {titleOf(row)}</span>
        </Action>
      )}
    </th>
  );
}

function Value({ field, value }: { field: ComparedField; value: string }) {
  if (value === "") return <span class="muted">—</span>;
  if (field.isTime) return <Time at={value} />;
  if (field.label === "Status") return <Status word={value} />;
  if (field.label === "Created by") return <Person name={value} />;
  const isCode = field.label === "Image" || field.label === "Flow";
  return isCode ? <code class="break">{value}</code> : <span class="break">{value}</span>;
}

function FlowChange({ app, from, to }: { app: App; from: WholeRow; to: WholeRow }) {
  const isThere = from.pinned !== null && to.pinned !== null;
  const query = useQuery(isThere ? `diff ${app.id} ${from.id} ${to.id}` : undefined, (signal) =>
    readComparison(app.id, to.id, from.id, signal),
  );
  if (!isThere) return <p class="muted">A row that was never rolled out has no flow to compare.</p>;
  const found = query.data.value;
  const problem = query.problem.value;
  if (!found) return problem ? <Failure problem={problem} retry={() => void query.refresh()} /> : <Skeleton />;
  const [left, right] = [from, to].map((row) => `${row.sequence ?? row.name}`);
  const command = line("kubectl", "dynamiq", "diff", from.app_name, left, right, "-n", from.namespace);
  return (
    <div class="stack">
      {found.warnings.map((warning) => (
        <p key={warning} class="notice warn small">
          {warning}
        </p>
      ))}
      {found.warnings.length === 0 && (
        <Diff text={found.flow_diff} label="Flow" same="The flow is the same, byte for byte." />
      )}
      <Command text={command} />
    </div>
  );
}
