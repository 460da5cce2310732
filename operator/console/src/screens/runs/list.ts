import { type Problem, problemOf } from "../../api/problem.ts";
import type { Run, RunPage, RunQuery } from "../../pure/shapes.ts";
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
  /** Whether a page came short, and the next one is read at once. */
  readonly isSearching = signal(false);
  /** Runs that ended since, newest first. */
  readonly fresh: Signal<Run[]> = signal([]);
  /** Older runs that were read after the first page. */
  older = 0;
  #cursor: string | null = null;
  /** Whether there may be others between the fresh ones and those that are known. */
  #isApart = false;
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
    void this.#fill();
  };

  /** Reads the next page, where there is one. */
  readonly more = (): void => {
    if (this.#cursor === null || this.problem.value) return;
    void this.#fill(this.#cursor);
  };

  /** Looks what has ended since. Where there was no answer at all, it is read from its begin: the recorder may be back. */
  readonly look = async (): Promise<void> => {
    if (this.#isReading || this.#isLooking) return;
    if (this.total.value === undefined) {
      if (this.problem.value?.isAway) this.again();
      return;
    }
    this.#isLooking = true;
    const { signal } = this.#stopped;
    try {
      const found = await this.read({ ...this.query, page_size: SIZE }, signal);
      if (signal.aborted) return;
      this.#told(found);
      // What is older than all that are known comes with the next page, where there is one.
      const oldest = this.#cursor === null ? "" : (this.runs.value.at(-1)?.started_at ?? "");
      const fresh = this.#unknown(found).filter(({ started_at }) => started_at > oldest);
      this.#isApart = fresh.length === found.data.length && found.pagination.next_cursor !== null;
      this.fresh.value = fresh;
      if (this.runs.value.length === 0 && fresh.length > 0) this.again();
    } catch {
      // What is shown was read: the next look tells whether it can be again.
    } finally {
      this.#isLooking = false;
    }
  };

  /** Puts what came meanwhile in its place: one that took long began before others that ended earlier. */
  readonly take = (): void => {
    if (this.#isApart) {
      this.again();
      return;
    }
    const runs = [...this.fresh.value, ...this.runs.value];
    this.fresh.value = [];
    this.runs.value = runs.sort(
      (one, other) => Number(one.started_at < other.started_at) - Number(one.started_at > other.started_at),
    );
  };

  /** Takes out a run that was deleted. */
  drop(id: string): void {
    this.runs.value = this.runs.value.filter((each) => each.id !== id);
  }

  /** Reads on until so many came as a page has: the recorder looks for each only for a moment, and says where it stopped. */
  async #fill(from?: string): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    const { signal } = this.#stopped;
    let cursor = from;
    let wanted = SIZE;
    try {
      do {
        const found = await this.read({ ...this.query, page_size: SIZE, cursor }, signal);
        // It was begun anew meanwhile, or nobody looks any more.
        if (signal.aborted) return;
        this.problem.value = undefined;
        wanted -= this.#add(found, cursor === undefined);
        this.#cursor = found.pagination.next_cursor;
        cursor = this.#cursor ?? undefined;
        this.isSearching.value = wanted > 0 && cursor !== undefined;
        this.#told(found);
      } while (this.isSearching.value);
    } catch (thrown) {
      if (!signal.aborted) {
        this.problem.value = problemOf(thrown);
        this.isSearching.value = false;
      }
    } finally {
      if (!signal.aborted) this.#isReading = false;
    }
  }

  /** Puts a page below what is known, or in its place; how many runs are new. */
  #add(found: RunPage, isFirst: boolean): number {
    const added = isFirst ? found.data : this.#unknown(found);
    this.older = isFirst ? 0 : this.older + added.length;
    if (isFirst) this.fresh.value = [];
    this.runs.value = isFirst ? added : [...this.runs.value, ...added];
    return added.length;
  }

  #unknown({ data }: RunPage): Run[] {
    const known = new Set(this.runs.value.map(({ id }) => id));
    return data.filter(({ id }) => !known.has(id));
  }

  /** Where a page came short, the rest is not counted. */
  #told({ data, pagination: { total_count, counted_to, next_cursor } }: RunPage): void {
    const isCounted = data.length >= SIZE || next_cursor === null || this.#cursor === null;
    this.total.value = {
      count: Math.max(total_count, this.runs.value.length),
      isMore: total_count >= counted_to || !isCounted,
    };
  }
}
