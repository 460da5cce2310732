/** What the recorder says of rows, asked for all that come into sight together; where it says nothing, nothing is asked again. */
import { useEffect } from "preact/hooks";
import { problemOf } from "../api/problem.ts";
import { readVerdicts } from "../api/runs.ts";
import type { RowVerdict } from "../pure/shapes.ts";
import { type Signal, signal } from "./signal.ts";

const TOGETHER = 60;
const MOST = 100;
const STANDS = 60_000;

interface Known {
  says: Signal<RowVerdict | undefined>;
  asked: number;
}

const known = new Map<string, Known>();
const wanted = new Map<string, Set<string>>();
/** Apps of which no recorder says anything to this reader. */
const silent = new Set<string>();

/** What is known of a row's runs; it is read once the row is in sight. */
export function useVerdict(app: string, row: string): RowVerdict | undefined {
  let found = known.get(row);
  if (found === undefined) {
    found = { says: signal(undefined), asked: Number.NEGATIVE_INFINITY };
    known.set(row, found);
  }
  const mine = found;
  useEffect(() => {
    if (performance.now() - mine.asked < STANDS || silent.has(app)) return;
    mine.asked = performance.now();
    if (wanted.size === 0) setTimeout(ask, TOGETHER);
    wanted.set(app, (wanted.get(app) ?? new Set()).add(row));
  }, [app, row, mine]);
  return mine.says.value;
}

function ask(): void {
  for (const [app, rows] of wanted) {
    const all = [...rows];
    for (let first = 0; first < all.length; first += MOST) void read(app, all.slice(first, first + MOST));
  }
  wanted.clear();
}

async function read(app: string, rows: string[]): Promise<void> {
  try {
    for (const each of await readVerdicts(app, rows)) {
      const found = known.get(each.deployment_id);
      if (found) found.says.value = each;
    }
  } catch (thrown) {
    // The history goes without; where the recorder is away alone, it is asked again.
    if (!problemOf(thrown).isAway) silent.add(app);
  }
}
