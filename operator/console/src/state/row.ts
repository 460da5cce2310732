import { readRow } from "../api/read.ts";
import { asksBack, canComeBack } from "../pure/row-words.ts";
import type { OneDeployment } from "../pure/shapes.ts";
import { type Query, refresh, update, useQuery } from "./query.ts";
import { useAppEvents } from "./watch.ts";

/** Rows that are read again because an event told of them. */
const told = new Set<string>();

/** One row, as it is at this moment; `withBack`: with whether it could be brought back, which takes the API more reads. No id: nothing is read. */
export function useRow(app: string, row: string | undefined, withBack = false): Query<OneDeployment> {
  const key = row && `row ${row}`;
  const query: Query<OneDeployment> = useQuery(key, async (signal) => {
    const before = query.data.value;
    const isTold = told.delete(key as string);
    if (withBack && asksBack(before, isTold)) return readRow(app, row as string, signal, true);
    return { ...(await readRow(app, row as string, signal)), deployable: before?.deployable ?? null };
  });
  useAppEvents(app, {
    onDeployment: (event) => {
      if (key === undefined || event.id !== row) return;
      update<OneDeployment>(key, (before) => ({
        ...before,
        ...event,
        ready: event.ready ?? before.ready,
        // What was said of a row that could not go back yet is over with that.
        deployable: event.deployable ?? (canComeBack(before) ? before.deployable : null),
      }));
      // An event has no conditions: they say what the rollout waits for.
      told.add(key);
      refresh(key);
    },
    onAgain: () => key && refresh(key),
  });
  return query;
}
