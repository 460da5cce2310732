import { useEffect } from "preact/hooks";
import { type Problem, problemOf } from "../api/problem.ts";
import { Retries } from "../pure/retries.ts";
import { connection, known, onReturn } from "./connection.ts";
import { isExpired } from "./session.ts";
import { type ReadonlySignal, type Signal, signal } from "./signal.ts";

/** What is known of one thing that the API was asked for. Data stays while it is read again, and while it cannot be. */
export interface Query<T> {
  data: ReadonlySignal<T | undefined>;
  problem: ReadonlySignal<Problem | undefined>;
  isReading: ReadonlySignal<boolean>;
  /** Reads it again; ends when it was read, whatever came of it. */
  refresh: () => Promise<void>;
}

type Read<T> = (abort: AbortSignal) => Promise<T>;
const KEPT_MOST = 200;
/** An answer that takes longer is not waited for where another read is wanted: its connection may be dead. */
const ANSWERED_WITHIN = 10_000;
const queries = new Map<string, Entry<unknown>>();

class Entry<T> implements Query<T> {
  readonly data: Signal<T | undefined> = signal(undefined);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  readonly isReading = signal(false);
  users = 0;
  #running: { abort: AbortController; since: number; ends: Promise<void> } | undefined;
  #isWantedAgain = false;
  #isTold = false;
  // While nobody answers at all, the return of the API has it read again.
  readonly #retries = new Retries(() => {
    if (this.users > 0 && connection.value === "online") void this.refresh();
  });

  constructor(public read: Read<T>) {}

  /** While one is under way, the next follows it: reads that come faster than their answers would show none if each ended the one before. */
  readonly refresh = (): Promise<void> => {
    if (this.#running && performance.now() - this.#running.since < ANSWERED_WITHIN) {
      this.#isWantedAgain = true;
      return this.#running.ends;
    }
    this.#running?.abort.abort();
    this.#retries.wait();
    const abort = new AbortController();
    const ends = this.#readAll(abort);
    this.#running = { abort, since: performance.now(), ends };
    return ends;
  };

  /** Puts what was told meanwhile in the place of what is known. An answer that is under way may be older: it is left out. */
  tell(data: T): void {
    this.data.value = data;
    if (this.#running === undefined) return;
    this.#isTold = true;
    this.#isWantedAgain = true;
  }

  async #readAll(abort: AbortController): Promise<void> {
    this.isReading.value = true;
    do {
      this.#isWantedAgain = false;
      this.#isTold = false;
      await this.#readOnce(abort.signal);
    } while (this.#isWantedAgain && !abort.signal.aborted);
    if (abort.signal.aborted) return;
    this.#running = undefined;
    this.isReading.value = false;
  }

  async #readOnce(signal: AbortSignal): Promise<void> {
    try {
      const found = await this.read(signal);
      if (signal.aborted) return;
      if (!this.#isTold) this.data.value = found;
      this.problem.value = undefined;
      this.#retries.done();
    } catch (thrown) {
      const problem = problemOf(thrown);
      // Whether it is this read alone, or whether nobody answers, is told otherwise.
      if (problem.isAway) await known();
      if (signal.aborted) return;
      this.problem.value = problem;
      this.#retries.failed(problem);
    }
  }
}

/** What the API says under a key, read when the first component asks for it and kept while the page is open. No key: nothing is read. */
export function useQuery<T>(key: string | undefined, read: Read<T>): Query<T> {
  const entry = key === undefined ? (NOTHING as Entry<T>) : entryOf(key, read);
  useEffect(() => {
    if (key === undefined) return;
    return show(entry);
  }, [key, entry]);
  return entry;
}

/** Reads it, and again whenever it may be something else, until what is returned is called. */
export function show<T>(entry: Entry<T>): () => void {
  entry.users += 1;
  void entry.refresh();
  return () => {
    entry.users -= 1;
  };
}

/** Reads again what is on the screen under keys that begin so. */
export function refresh(prefix = ""): void {
  for (const [key, entry] of queries) {
    if (!key.startsWith(prefix)) continue;
    if (entry.users > 0) void entry.refresh();
    else queries.delete(key);
  }
}

/** Puts what an event or an answer told under a key, where it is known already. */
export function update<T>(key: string, change: (before: T) => T): void {
  const entry = queries.get(key) as Entry<T> | undefined;
  if (entry?.data.value === undefined) return;
  entry.tell(change(entry.data.value));
}

/** Drops what is known under a key, and asks again where it is on the screen: it is not what it was. */
export function forget(key: string): void {
  const entry = queries.get(key);
  if (entry === undefined) return;
  entry.data.value = undefined;
  refresh(key);
}

/** What is known under a key; nothing is read before it is shown. */
export function entryOf<T>(key: string, read: Read<T>): Entry<T> {
  let entry = queries.get(key) as Entry<T> | undefined;
  if (entry === undefined) {
    entry = new Entry(read);
    queries.set(key, entry as Entry<unknown>);
    for (const [old, other] of queries) {
      if (queries.size <= KEPT_MOST) break;
      if (other.users === 0 && old !== key) queries.delete(old);
    }
  }
  entry.read = read;
  return entry;
}

const NOTHING = new Entry<unknown>(async () => undefined);

onReturn(() => refresh());
let wasExpired = false;
isExpired.subscribe((is) => {
  if (wasExpired && !is) refresh();
  wasExpired = is;
});
