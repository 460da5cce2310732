import type { Page } from "../../api/history.ts";
import { type Problem, problemOf } from "../../api/problem.ts";
import { findSequence } from "../../pure/find-sequence.ts";
import { type HistoryFilters, isFiltered } from "../../pure/history-filters.ts";
import { Retries } from "../../pure/retries.ts";
import type { Row } from "../../pure/shapes.ts";
import { type Signal, signal } from "../../state/signal.ts";

/** Rows of a page: a screen shows about fifteen. */
const SIZE = 50;
/** Most rows that are kept: about 3 kB each. */
const KEPT_MOST = 3_000;
/** Rows that are read ahead on either side. */
const AHEAD = 15;

/** Reads a page of the history, from 1. Throws Problem, or an AbortError. */
export type ReadPage = (filters: HistoryFilters, page: number, size: number, signal?: AbortSignal) => Promise<Page>;

interface Kept {
  row: Row;
  /** Which reading it came with: an older one may have changed. */
  reading: number;
}

/**
 * The rows of one history under one filter, read page by page as they are looked at.
 *
 * A row is kept by its place from the oldest one on: new rows come at the top and move no other. Where the number of rows changes
 * otherwise, what is kept is shown on, and read again as it is looked at.
 */
export class HistoryPages {
  /** How many rows there are; undefined until the first answer. */
  readonly total: Signal<number | undefined> = signal(undefined);
  /** Why rows of the archive are not among these; undefined where they are, or there is no archive. */
  readonly lacks: Signal<string | undefined> = signal(undefined);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  /** Moves on with each change of what is kept. */
  readonly moved = signal(0);
  /** Rows that came in at the top since the reader was last there. */
  readonly arrived = signal(0);
  readonly #kept = new Map<number, Kept>();
  readonly #running = new Map<number, AbortController>();
  #reading = 0;
  #isNewestDue = false;
  #looked: [number, number] = [0, AHEAD];
  /** Pages that were asked for and not read. */
  readonly #failing = new Set<number>();
  readonly #retries = new Retries(() => this.mayTry() && this.again());

  constructor(
    readonly app: string,
    readonly filters: HistoryFilters,
    private readonly read: ReadPage,
    /** Whether what failed is to be tried again by itself now. */
    private readonly mayTry: () => boolean = () => true,
  ) {
    void this.#readPage(1);
  }

  /** Ends what is being read. */
  readonly stop = (): void => {
    for (const each of this.#running.values()) each.abort();
    this.#running.clear();
    this.#retries.wait();
  };

  /** The row at an index from the newest one, where it is kept. */
  at(index: number): Row | undefined {
    return this.#kept.get(this.placeOf(index))?.row;
  }

  /** The place of an index, which stays with a row when newer ones come. */
  placeOf(index: number): number {
    return (this.total.value ?? 0) - 1 - index;
  }

  /** Reads what lacks between two indexes, which are looked at now. */
  look(first: number, last: number): void {
    this.#looked = [first, last];
    const total = this.total.value;
    if (total === undefined) return;
    const wanted = new Set<number>();
    const end = Math.min(last + AHEAD, total - 1);
    for (let index = Math.max(0, first - AHEAD); index <= end; index += 1) {
      const found = this.#kept.get(this.placeOf(index));
      if (found === undefined || found.reading < this.#reading) wanted.add(Math.floor(index / SIZE) + 1);
    }
    for (const [page, running] of this.#running) {
      // What was asked for while the reader went past it is not waited for.
      if (wanted.has(page) || page === 1) continue;
      running.abort();
      this.#running.delete(page);
    }
    for (const page of this.#failing) if (!wanted.has(page) && page !== 1) this.#failing.delete(page);
    for (const page of wanted) if (!this.#running.has(page)) void this.#readPage(page);
  }

  /** Reads again what is looked at, and the newest rows: something may have changed. */
  readonly again = (): void => {
    this.#reading += 1;
    this.#retries.wait();
    this.#readNewest();
    this.look(...this.#looked);
  };

  /** Takes in what an event told of a row. */
  readonly take = (row: Row): void => {
    for (const [place, kept] of this.#kept) {
      if (kept.row.id !== row.id) continue;
      this.#kept.set(place, {
        row: { ...kept.row, ...row, deployable: row.deployable ?? kept.row.deployable },
        reading: kept.reading,
      });
      this.moved.value += 1;
      if (isFiltered(this.filters)) this.#readNewest();
      return;
    }
    const newest = this.at(0);
    const isNewer = newest === undefined || row.created_at >= newest.created_at;
    if (isNewer) this.#readNewest();
  };

  /** A page by its number; it is kept as well. Throws Problem, or an AbortError. */
  async page(number: number, signal?: AbortSignal): Promise<Row[]> {
    const reading = this.#reading;
    const found = await this.read(this.filters, number, SIZE, signal);
    this.#keep(number, found, reading);
    return found.rows;
  }

  /** Reads the pages around an index, where they are not kept. Throws Problem. */
  async ensure(index: number): Promise<void> {
    const total = this.total.value ?? 0;
    const wanted = new Set<number>();
    for (const near of [index - AHEAD, index, index + AHEAD]) {
      const at = Math.max(0, Math.min(near, total - 1));
      if (this.at(at) === undefined) wanted.add(Math.floor(at / SIZE) + 1);
    }
    await Promise.all([...wanted].map((page) => this.page(page)));
  }

  /** How many of these rows are older than a moment. Throws Problem. */
  async countBefore(moment: string): Promise<number> {
    const { until } = this.filters;
    const filters = { ...this.filters, until: until && until < moment ? until : moment };
    const { total, lacks } = await this.read(filters, 1, 1);
    // A filter takes no rows of the archive: where these rows have them, they are looked through.
    return lacks === undefined || this.lacks.value !== undefined ? total : this.#countThrough(Date.parse(moment));
  }

  async #countThrough(moment: number): Promise<number> {
    const total = this.total.value ?? 0;
    const begun = async (page: number) => (await this.page(page)).map((row) => Date.parse(row.created_at));
    const found = await findSequence(moment - 1, total, SIZE, begun);
    if (found === undefined) return 0;
    await this.ensure(found.index);
    const row = this.at(found.index);
    return row !== undefined && Date.parse(row.created_at) < moment ? total - found.index : 0;
  }

  static readonly size = SIZE;

  /** Reads the newest rows once more; where they are being read, after that: what is on its way may be old already. */
  #readNewest(): void {
    if (this.#running.has(1)) this.#isNewestDue = true;
    else void this.#readPage(1);
  }

  async #readPage(number: number): Promise<void> {
    const mine = new AbortController();
    this.#running.set(number, mine);
    try {
      await this.page(number, mine.signal);
      this.#failing.delete(number);
      if (this.#failing.size === 0) {
        this.problem.value = undefined;
        this.#retries.done();
      }
    } catch (thrown) {
      if (!mine.signal.aborted) {
        const problem = problemOf(thrown);
        this.problem.value = problem;
        this.#failing.add(number);
        this.#retries.failed(problem);
      }
    } finally {
      if (this.#running.get(number) === mine) this.#running.delete(number);
    }
    if (mine.signal.aborted) return;
    if (number === 1 && this.#isNewestDue) {
      this.#isNewestDue = false;
      void this.#readPage(1);
    } else if (!this.problem.value) this.look(...this.#looked);
  }

  #keep(number: number, { rows, total, lacks }: Page, reading: number): void {
    const before = this.total.value;
    const isOld = reading < this.#reading;
    if (before !== undefined && before !== total) {
      if (total > before && !isFiltered(this.filters)) this.arrived.value += total - before;
      // Rows may have gone from below, or from among those of a filter: then places are others.
      else this.#reading += 1;
    }
    this.total.value = total;
    this.lacks.value = lacks;
    rows.forEach((row, each) => {
      this.#kept.set(this.placeOf((number - 1) * SIZE + each), { row, reading: isOld ? reading : this.#reading });
    });
    this.#forget();
    this.moved.value += 1;
  }

  /** Forgets what is farthest from what is looked at. */
  #forget(): void {
    if (this.#kept.size <= KEPT_MOST) return;
    const middle = this.placeOf((this.#looked[0] + this.#looked[1]) / 2);
    for (const place of [...this.#kept.keys()]) {
      if (Math.abs(place - middle) > KEPT_MOST / 4) this.#kept.delete(place);
    }
  }
}
