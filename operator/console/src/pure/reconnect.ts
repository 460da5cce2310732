/**
 * When a stream of events that ended is opened again, and whether the App is polled in the meantime. Pure.
 *
 *   opened ──ready──▶ on ──ending──▶ opened again at once
 *     │                └──lost────▶ opened again after a second
 *     └─refused, silent─▶ a miss: one is tried again after a second, from the second on polls stand in
 *
 * A stream that was on for less than STEADY counts as a miss too: it may be cut by a proxy over and over.
 */

/** How a stream ended. `silent`: it was opened and never said `ready`, as behind a proxy that buffers. `full`: this browser holds enough streams. */
export type End = "ending" | "lost" | "refused" | "silent" | "full";

export interface Step {
  /** Streams in a row that were of no use. */
  misses: number;
  /** Milliseconds until the next is opened. */
  after: number;
  /** Whether polls stand in for it until then. */
  polls: boolean;
}

export const STEADY = 5_000;
const SECOND = 1_000;
const MISSES_UNTIL_POLLS = 2;
const FIRST_REST = 15 * SECOND;
const LONGEST_REST = 120 * SECOND;
const UNTIL_A_PLACE = 10 * SECOND;

/** `lived`: milliseconds since it said `ready`, undefined where it did not. `chance`: from 0 to 1, so that not all come back at once. */
export function afterEnd(misses: number, end: End, lived: number | undefined, chance: number): Step {
  if (end === "full") return { misses, after: UNTIL_A_PLACE * spread(chance), polls: true };
  if (lived !== undefined && lived >= STEADY) {
    return { misses: 0, after: end === "ending" ? chance * SECOND * 0.5 : SECOND * spread(chance), polls: false };
  }
  const now = misses + 1;
  if (now < MISSES_UNTIL_POLLS) return { misses: now, after: SECOND * spread(chance), polls: false };
  const rest = Math.min(FIRST_REST * 2 ** (now - MISSES_UNTIL_POLLS), LONGEST_REST);
  return { misses: now, after: rest * spread(chance), polls: true };
}

function spread(chance: number): number {
  return 0.75 + chance * 0.5;
}
