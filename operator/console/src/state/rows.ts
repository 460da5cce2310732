import { readHistory } from "../api/history.ts";
import { NO_FILTERS } from "../pure/history-filters.ts";
import type { Row } from "../pure/shapes.ts";
import { useQuery } from "./query.ts";

const ROWS = 100;

/** The newest rows of an App's history that name a version; undefined while they are not known. */
export function useRows(app: { id: string } | undefined): Row[] | undefined {
  const rows = useQuery(app && `rows ${app.id}`, async (signal) => {
    return (await readHistory(app?.id as string, NO_FILTERS, 1, ROWS, signal)).rows;
  });
  return rows.data.value?.filter((row) => row.workflow_version);
}
