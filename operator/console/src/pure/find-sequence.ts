/** Finds a row by its sequence in a history that is read in pages. Pure, but for the reading that it is given. */

export interface Found {
  /** From the newest row, which has 0. */
  index: number;
  /** Whether it is that row; otherwise it is the next older one, or the oldest. */
  isExact: boolean;
}

/** Where somebody goes in a history: to an end, to a sequence, or to the last row before a time (RFC 3339). */
export type Place = "newest" | "oldest" | { sequence: number } | { before: string };

const TRIES_MOST = 24;

/**
 * Where a sequence is among `total` rows, newest first: sequences fall from row to row, though some may be missing.
 *
 * `read` gives the sequences of a page, from 1; a row that has none yet is newer than all that have one. Sequences are mostly without
 * gaps, so a guess from what is known of both ends is right at once, or nearly so.
 */
export async function findSequence(
  asked: number,
  total: number,
  size: number,
  read: (page: number) => Promise<(number | null)[]>,
): Promise<Found | undefined> {
  if (total === 0) return undefined;
  const pages = Math.ceil(total / size);
  // What is known: the sequence asked for is after `low` and before `high`, in pages.
  let low = 1;
  let high = pages;
  let guess = 1;
  for (let tries = 0; low <= high && tries < TRIES_MOST; tries += 1) {
    const sequences = (await read(guess)).map((sequence) => sequence ?? Number.POSITIVE_INFINITY);
    if (sequences.length === 0) return undefined;
    const newest = sequences[0] as number;
    const oldest = sequences.at(-1) as number;
    if (asked <= newest && asked >= oldest) {
      const at = sequences.findIndex((sequence) => sequence <= asked);
      return { index: (guess - 1) * size + at, isExact: sequences[at] === asked };
    }
    if (asked > newest) {
      high = guess - 1;
      // It lies between this page and the one before it, or is newer than all.
      if (high < low) return { index: (guess - 1) * size, isExact: false };
    } else {
      low = guess + 1;
      if (low > high && guess < pages) return { index: guess * size, isExact: false };
    }
    const away = Number.isFinite(oldest) ? Math.ceil((oldest - asked) / size) : 1;
    const aimed = asked < oldest ? guess + away : guess - Math.ceil((asked - newest) / size);
    // A guess that gaps have thrown off twice gives way to halves.
    guess = tries < 3 ? Math.min(Math.max(aimed, low), high) : Math.floor((low + high) / 2);
  }
  return { index: total - 1, isExact: false };
}

/** What was written into the field: a sequence, the end of a day in the reader's zone, or neither. */
export function readPlace(text: string): Exclude<Place, string> | undefined {
  const given = text.trim();
  const sequence = /^#?(\d{1,9})$/.exec(given);
  if (sequence) return { sequence: Number(sequence[1]) };
  const day = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(given);
  if (!day) return undefined;
  const [year, month, date] = [Number(day[1]), Number(day[2]), Number(day[3])];
  const asked = new Date(year, month - 1, date);
  if (asked.getMonth() !== month - 1 || asked.getDate() !== date) return undefined;
  return { before: `${new Date(year, month - 1, date + 1).toISOString().slice(0, 19)}Z` };
}
