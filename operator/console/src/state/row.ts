import { type OneDeployment, readRow } from "../api/read.ts";
import { type Query, refresh, update, useQuery } from "./query.ts";
import { useAppEvents } from "./watch.ts";

/** One row, as it is at this moment. No id: nothing is read. */
export function useRow(app: string, row: string | undefined): Query<OneDeployment> {
  const key = row && `row ${row}`;
  const query = useQuery(key, (signal) => readRow(app, row as string, signal));
  useAppEvents(app, {
    onDeployment: (told) => {
      if (key === undefined || told.id !== row) return;
      update<OneDeployment>(key, (before) => ({
        ...before,
        ...told,
        ready: told.ready ?? before.ready,
        deployable: told.deployable ?? before.deployable,
      }));
      // An event has no conditions: they say what the rollout waits for.
      refresh(key);
    },
    onAgain: () => key && refresh(key),
  });
  return query;
}
