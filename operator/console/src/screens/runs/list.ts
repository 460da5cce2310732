import { type Problem, problemOf } from "../../api/problem.ts";
import type { Run, RunPage, RunQuery } from "../../api/runs.ts";
import { type Signal, signal } from "../../state/signal.ts";

const SIZE = 100;

/** Reads a page of runs. Throws Problem, or an AbortError. */
export type ReadRuns = (query: RunQuery, signal: AbortSignal) => Promise<RunPage>;

/** How many runs there are, as far as they are counted. */
interface Total {
  count: number;
  isMore: boolean;
}

/**
 * The runs of one filter, newest first or in another order, read page by page as they are looked at. Those that end meanwhile are kept
 * aside until the reader asks for them: what is read does not move.
 */
export class RunList {
  readonly runs: Signal<Run[]> = signal([]);
  readonly total: Signal<Total | undefined> = signal(undefined);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  /** Runs that ended since, newest first. */
  readonly fresh: Signal<Run[]> = signal([]);
  /** Older runs that were read after the first page. */
  older = 0;
  #cursor: string | null = null;
  #isReading = false;
  #isLooking = false;
  #stopped = new AbortController();

  constructor(
    private readonly query: RunQuery,
    private readonly read: ReadRuns,
  ) {
    this.again();
  }

  readonly stop = (): void => this.#stopped.abort();

  /** Reads it from its begin. */
  readonly again = (): void => {
    this.stop();
    this.#stopped = new AbortController();
    this.#isReading = false;
    void this.#page(undefined, (found) => {
      this.older = 0;
      this.fresh.value = [];
      this.runs.value = found.data;
      this.#cursor = found.pagination.next_cursor;
    });
  };

  /** Reads the next page, where there is one. */
  readonly more = (): void => {
    if (this.#cursor === null || this.problem.value) return;
    void this.#page(this.#cursor, (found) => {
      const known = new Set(this.runs.value.map(({ id }) => id));
      const added = found.data.filter(({ id }) => !known.has(id));
      this.older += added.length;
      this.#cursor = found.pagination.next_cursor;
      this.runs.value = [...this.runs.value, ...added];
    });
  };

  /** Looks what has ended since. */
  readonly look = async (): Promise<void> => {
    if (this.#isReading || this.#isLooking || this.total.value === undefined) return;
    this.#isLooking = true;
    const { signal } = this.#stopped;
    try {
      const found = await this.read({ ...this.query, page_size: SIZE }, signal);
      if (signal.aborted) return;
      this.#told(found);
      const known = new Set(this.runs.value.map(({ id }) => id));
      const fresh = found.data.filter(({ id }) => !known.has(id));
      this.fresh.value = fresh;
      if (known.size === 0 && fresh.length > 0) this.again();
    } catch {
      // What is shown was read: the next look tells whether it can be again.
    } finally {
      this.#isLooking = false;
    }
  };

  /** Puts what came meanwhile at the top. */
  readonly take = (): void => {
    const { value } = this.fresh;
    // More came than one page has: they are not next to those that are known.
    if (value.length >= SIZE) {
      this.again();
      return;
    }
    this.fresh.value = [];
    this.runs.value = [...value, ...this.runs.value];
  };

  /** Takes out a run that was deleted. */
  drop(id: string): void {
    this.runs.value = this.runs.value.filter((each) => each.id !== id);
  }

  async #page(cursor: string | undefined, take: (found: RunPage) => void): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    const { signal } = this.#stopped;
    try {
      const found = await this.read({ ...this.query, page_size: SIZE, cursor }, signal);
      // It was begun anew meanwhile, or nobody looks any more.
      if (signal.aborted) return;
      this.problem.value = undefined;
      take(found);
      this.#told(found);
    } catch (thrown) {
      if (!signal.aborted) this.problem.value = problemOf(thrown);
    } finally {
      if (!signal.aborted) this.#isReading = false;
    }
  }

  #told({ pagination: { total_count, counted_to } }: RunPage): void {
    this.total.value = { count: total_count, isMore: total_count >= counted_to };
  }
}
