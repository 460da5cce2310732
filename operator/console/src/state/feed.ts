/** The events of one address for every tab of this browser: one visible tab holds the stream and passes on what it tells. */
import { isExpired } from "./session.ts";
import { type Source, Stream, type Told } from "./stream.ts";

type Listener = (told: Told) => void;
type Message = Told | { kind: "wanted" };

/** How long a tab nobody sees keeps a stream that no other tab wants. */
const KEPT_UNSEEN = 30_000;
const feeds = new Map<string, Feed>();

/** Listens to the events of an address. Returns how to stop. */
export function listen(source: Source, listener: Listener): () => void {
  let feed = feeds.get(source.address);
  if (feed === undefined) {
    feed = new Feed(source);
    feeds.set(source.address, feed);
  }
  const mine = feed;
  mine.listeners.add(listener);
  return () => {
    mine.listeners.delete(listener);
    if (mine.listeners.size > 0) return;
    feeds.delete(source.address);
    mine.stop();
  };
}

class Feed {
  readonly listeners = new Set<Listener>();
  readonly #name: string;
  readonly #channel: BroadcastChannel;
  /** Withdraws the candidacy, or gives up the stream. */
  #candidacy: AbortController | undefined;
  #isHolding = false;
  #isOver = false;
  #isBehind = false;
  #unseenSince: number | undefined;
  #unseen: ReturnType<typeof setTimeout> | undefined;
  readonly #forget: () => void;

  constructor(private readonly source: Source) {
    this.#name = `dynamiq-watch ${source.address}`;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = (event: MessageEvent<Message>) => this.#hear(event.data);
    document.addEventListener("visibilitychange", this.#look);
    this.#forget = isExpired.subscribe((is) => {
      if (is) this.#withdraw();
      else this.#look();
    });
  }

  stop(): void {
    this.#isOver = true;
    this.#withdraw();
    clearTimeout(this.#unseen);
    this.#forget();
    document.removeEventListener("visibilitychange", this.#look);
    this.#channel.close();
  }

  /** Whether this tab is seen has changed: who is seen stands for election, who is not makes room. */
  readonly #look = (): void => {
    clearTimeout(this.#unseen);
    if (document.hidden) {
      this.#unseenSince = Date.now();
      if (!this.#isHolding) this.#withdraw();
      else void this.#makeRoom();
      return;
    }
    if (this.#unseenSince !== undefined && Date.now() - this.#unseenSince > KEPT_UNSEEN) this.#isBehind = true;
    this.#unseenSince = undefined;
    this.#stand();
    if (this.#isBehind) this.#pass({ kind: "again" });
  };

  #stand(): void {
    if (this.#candidacy || this.#isOver || isExpired.value) return;
    const mine = new AbortController();
    this.#candidacy = mine;
    this.#channel.postMessage({ kind: "wanted" });
    navigator.locks.request(this.#name, { signal: mine.signal }, () => this.#hold(mine.signal)).catch(() => undefined);
  }

  /** Holds the stream until the candidacy is withdrawn. */
  #hold(given: AbortSignal): Promise<void> {
    if (given.aborted) return Promise.resolve();
    this.#isHolding = true;
    const stream = new Stream(this.source, (told) => {
      if (!this.#isOver) this.#channel.postMessage(told);
      this.#pass(told);
    });
    return new Promise((resolve) => {
      given.addEventListener("abort", () => {
        stream.stop();
        this.#isHolding = false;
        resolve();
      });
    });
  }

  #withdraw(): void {
    const before = this.#candidacy;
    this.#candidacy = undefined;
    before?.abort();
  }

  async #makeRoom(): Promise<void> {
    const { pending } = (await navigator.locks?.query()) ?? {};
    if (!document.hidden) return;
    if (pending?.some((each) => each.name === this.#name)) this.#withdraw();
    else this.#unseen = setTimeout(() => document.hidden && this.#withdraw(), KEPT_UNSEEN);
  }

  #hear(message: Message): void {
    if (message.kind !== "wanted") this.#pass(message);
    else if (this.#isHolding && document.hidden) this.#withdraw();
  }

  #pass(told: Told): void {
    if (told.kind === "again" || told.kind === "polled") {
      // What nobody sees is read when it is seen.
      this.#isBehind = document.hidden;
      if (this.#isBehind) return;
    }
    for (const listener of [...this.listeners]) listener(told);
  }
}
