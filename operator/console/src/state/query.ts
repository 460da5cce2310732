import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Problem, problemOf } from "../api/problem.ts";
import { onReturn } from "./connection.ts";
import { isExpired } from "./session.ts";

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
const queries = new Map<string, Entry<unknown>>();

class Entry<T> implements Query<T> {
  readonly data: Signal<T | undefined> = signal(undefined);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  readonly isReading = signal(false);
  users = 0;
  private running: AbortController | undefined;

  constructor(public read: Read<T>) {}

  readonly refresh = async (): Promise<void> => {
    this.running?.abort();
    const mine = new AbortController();
    this.running = mine;
    this.isReading.value = true;
    try {
      const found = await this.read(mine.signal);
      if (this.running !== mine) return;
      this.data.value = found;
      this.problem.value = undefined;
    } catch (thrown) {
      if (this.running !== mine || mine.signal.aborted) return;
      this.problem.value = problemOf(thrown);
    } finally {
      if (this.running === mine) this.isReading.value = false;
    }
  };
}

/** What the API says under a key, read when the first component asks for it and kept while the page is open. No key: nothing is read. */
export function useQuery<T>(key: string | undefined, read: Read<T>): Query<T> {
  const entry = key === undefined ? (NOTHING as Entry<T>) : entryOf(key, read);
  useEffect(() => {
    if (key === undefined) return;
    entry.users += 1;
    void entry.refresh();
    return () => {
      entry.users -= 1;
    };
  }, [key, entry]);
  return entry;
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
  entry.data.value = change(entry.data.value);
  // An answer that is under way may be older than what was told just now.
  if (entry.isReading.value) void entry.refresh();
}

/** Drops what is known under a key, and asks again where it is on the screen: it is not what it was. */
export function forget(key: string): void {
  const entry = queries.get(key);
  if (entry === undefined) return;
  entry.data.value = undefined;
  refresh(key);
}

function entryOf<T>(key: string, read: Read<T>): Entry<T> {
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
