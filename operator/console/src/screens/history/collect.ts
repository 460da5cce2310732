import { readHistory } from "../../api/history.ts";
import type { HistoryFilters } from "../../pure/history-filters.ts";
import type { Row } from "../../pure/shapes.ts";

const SIZE = 500;

/**
 * All rows under the filters, newest first, page by page; no row twice, though new ones may come in meanwhile. `lacks`: why rows of the archive
 * are not among them. Throws Problem, or an AbortError where it was cancelled.
 */
export async function collect(
  app: string,
  filters: HistoryFilters,
  signal: AbortSignal,
  onProgress: (read: number, total: number) => void,
  most = Number.POSITIVE_INFINITY,
): Promise<{ rows: Row[]; total: number; lacks?: string }> {
  const rows = new Map<string, Row>();
  for (let page = 1; ; page += 1) {
    const found = await readHistory(app, filters, page, Math.min(SIZE, most), signal);
    for (const row of found.rows) if (rows.size < most) rows.set(row.id, row);
    onProgress(rows.size, found.total);
    if (page >= found.pages || rows.size >= most) {
      return { rows: [...rows.values()], total: found.total, lacks: found.lacks };
    }
  }
}
