import type { Row } from "../../pure/shapes.ts";
import type { HistoryPages } from "./pages.ts";

/**
 * What of a history is kept while the reader compares two of its rows, so that they come back to where they were: its rows, what is
 * ticked, and how far it was scrolled.
 */
let left: { key: string; pages: HistoryPages; scroll: number } | undefined;
let isWanted = false;

export const kept = {
  /** Rows ticked, by the App; at most two. */
  ticked: new Map<string, Row[]>(),

  /** The reader leaves a history. */
  leave(newest: { key: string; pages: HistoryPages } | undefined, scroll: number): void {
    left?.pages.stop();
    left = newest && { ...newest, scroll };
    isWanted = false;
  },

  /** The reader compares two rows: what they left is wanted again. */
  keep(): void {
    isWanted = true;
  },

  /** The rows that were left under a key, where they are wanted again. */
  pagesOf(key: string): HistoryPages | undefined {
    if (!isWanted || left?.key !== key) return undefined;
    left.pages.again();
    return left.pages;
  },

  /** How far it was scrolled, once. */
  scrollOf(pages: HistoryPages): number | undefined {
    if (left?.pages !== pages) return undefined;
    const { scroll } = left;
    left = undefined;
    return scroll;
  },
};
