import { useRef, useState } from "preact/hooks";
import { titleOf } from "../../pure/row-words.ts";
import type { App, Row } from "../../pure/shapes.ts";
import { Action } from "../../ui/action.tsx";
import { kept } from "./kept.ts";

export interface Ticked {
  rows: Row[];
  has: (row: Row) => boolean;
  /** Ticks a row, or takes the tick off. A third tick takes the place of the oldest tick. */
  toggle: (row: Row) => void;
  clear: () => void;
}

/** The rows that are ticked to be compared: at most two. */
export function useTicked(app: string): Ticked {
  const [rows, setRows] = useState<Row[]>(() => kept.ticked.get(app) ?? []);
  const set = (next: Row[]) => {
    kept.ticked.clear();
    if (next.length > 0) kept.ticked.set(app, next);
    setRows(next);
  };
  const latest = useRef((_row: Row) => {});
  const has = (row: Row) => rows.some((each) => each.id === row.id);
  latest.current = (row) => set(has(row) ? rows.filter((each) => each.id !== row.id) : [...rows.slice(-1), row]);
  const toggle = useRef((row: Row) => latest.current(row)).current;
  return {
    rows,
    has,
    toggle,
    clear: () => set([]),
  };
}

/** The older of two ticked rows first. */
export function inOrder([one, other]: Row[]): [Row, Row] {
  const [left, right] = [one as Row, other as Row];
  const isOlder = (left.sequence ?? Number.POSITIVE_INFINITY) <= (right.sequence ?? Number.POSITIVE_INFINITY);
  return isOlder ? [left, right] : [right, left];
}

/** What is ticked, at the lower edge, and Compare. */
export function TickedBar({ app, ticked }: { app: App; ticked: Ticked }) {
  const { rows } = ticked;
  if (rows.length === 0) return <div class="ticked" role="status" hidden />;
  const isPair = rows.length === 2;
  const [before, after] = isPair ? inOrder(rows) : [rows[0] as Row, undefined];
  return (
    <div class="ticked" role="status">
      <span class="break">
        <strong>{titleOf(before)}</strong>
        {after ? (
          <>
            {" → "}
            <strong>{titleOf(after)}</strong>
            <span class="small muted"> A third tick takes the place of the first.</span>
          </>
        ) : (
          <span class="small muted"> Tick another row to compare the two.</span>
        )}
      </span>
      <span class="buttons">
        {after && (
          <Action kind="primary" href={`/console/apps/${app.id}/compare?a=${before.id}&b=${after.id}`}>
            Compare
          </Action>
        )}
        <Action onClick={ticked.clear}>Clear</Action>
      </span>
    </div>
  );
}
