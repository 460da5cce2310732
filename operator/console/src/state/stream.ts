/** One stream of server-sent events that stays on: opened again where it ends, and polls in its place where it cannot be. */
import { OWN } from "../api/client.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { type Event, readOn } from "../pure/events.ts";
import { afterEnd, type End } from "../pure/reconnect.ts";
import { pauseAfter } from "../pure/retries.ts";
import { connection, onReturn } from "./connection.ts";
import { takePlace } from "./places.ts";

/** An event of a watch. `again`: some may have been missed. `polled`: the same, and the App itself was just read. */
export interface Told {
  kind: "app" | "deployment" | "removed" | "deleted" | "expired" | "again" | "polled";
  data?: unknown;
}

export interface Source {
  /** The stream's path. */
  address: string;
  /** Reads what a stream would have told. Throws Problem. */
  poll: (abort: AbortSignal) => Promise<Told[]>;
  /** Milliseconds between two polls. */
  pollEvery: number;
}

/** Until a stream says `ready`; a proxy that buffers keeps it back. */
const SILENT_AFTER = 5_000;
/** Until a stream that was on counts as dead: the API pings each 15 s, and a connection can die without a word. */
const DEAD_AFTER = 40_000;
/** A poll that takes longer is not waited for: its connection may be dead. */
const POLLED_WITHIN = 10_000;

export class Stream {
  #misses = 0;
  #readySince: number | undefined;
  #request: AbortController | undefined;
  #leave: (() => void) | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isPolling = false;
  #polls: ReturnType<typeof setTimeout> | undefined;
  #polling: AbortController | undefined;
  #pollsFailed = 0;
  readonly #stopped = new AbortController();
  readonly #forget: () => void;

  constructor(
    private readonly source: Source,
    private readonly tell: (told: Told) => void,
  ) {
    this.#forget = onReturn(() => this.#retry !== undefined && this.#open());
    void this.#open();
  }

  /** Ends it for good. */
  stop(): void {
    this.#stopped.abort();
    this.#forget();
    this.#isPolling = false;
    this.#close();
    clearTimeout(this.#retry);
  }

  async #open(): Promise<void> {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const leave = await takePlace();
    if (this.#stopped.signal.aborted) leave?.();
    else if (leave === undefined) this.#end("full");
    else {
      this.#leave = leave;
      await this.#follow();
    }
  }

  /** Reads the stream to its end. EventSource would hide the pings, and with them a connection that died. */
  async #follow(): Promise<void> {
    const mine = new AbortController();
    this.#request = mine;
    this.#listenFor(SILENT_AFTER, "silent");
    try {
      const headers = { ...OWN, Accept: "text/event-stream" };
      const response = await fetch(this.source.address, { headers, cache: "no-store", signal: mine.signal });
      if (response.ok && response.body) await this.#readAll(response.body, mine.signal);
    } catch {
      // It broke: told below, as an end without an error is.
    }
    if (!mine.signal.aborted) this.#end(this.#readySince === undefined ? "refused" : "lost");
  }

  async #readAll(body: ReadableStream<Uint8Array<ArrayBuffer>>, aborted: AbortSignal): Promise<void> {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || aborted.aborted) return;
      const step = readOn(rest, value);
      rest = step.rest;
      if (this.#readySince !== undefined) this.#listenFor(DEAD_AFTER, "lost");
      for (const event of step.events) {
        this.#take(event);
        if (aborted.aborted) return;
      }
    }
  }

  #take(event: Event): void {
    switch (event.kind) {
      case "ready":
        this.#readySince = performance.now();
        this.#isPolling = false;
        this.#endPoll();
        this.#listenFor(DEAD_AFTER, "lost");
        this.tell({ kind: "again" });
        break;
      case "ending":
        this.#end("ending");
        break;
      case "deleted":
      case "expired":
        this.#finish(event.kind);
        break;
      case "app":
      case "deployment":
      case "removed":
        this.tell({ kind: event.kind, data: JSON.parse(event.data) });
    }
  }

  #listenFor(time: number, how: End): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#end(how), time);
  }

  /** It is over, and there is nothing to open again. */
  #finish(kind: "deleted" | "expired"): void {
    this.stop();
    this.tell({ kind });
  }

  #end(how: End): void {
    const lived = this.#readySince === undefined ? undefined : performance.now() - this.#readySince;
    this.#close();
    const step = afterEnd(this.#misses, how, lived, Math.random());
    this.#misses = step.misses;
    this.#retry = setTimeout(() => void this.#open(), step.after);
    this.#isPolling ||= step.polls;
    // A refused stream does not say why: the answer to a read does.
    if (how !== "ending") void this.#poll();
    else if (this.#isPolling) this.#pollLater();
  }

  /** Reads once what a stream would have told, and the next time only when this is over: a slow answer would come after a newer one. */
  async #poll(): Promise<void> {
    this.#endPoll();
    const mine = new AbortController();
    this.#polling = mine;
    const tooLong = setTimeout(() => mine.abort(new DOMException("", "TimeoutError")), POLLED_WITHIN);
    try {
      // While nobody answers, all is read as soon as somebody does.
      const told = connection.value === "online" ? await this.source.poll(mine.signal) : [];
      if (this.#polling !== mine) return;
      this.#pollsFailed = 0;
      for (const each of told) this.tell(each);
      if (this.#polling === mine && this.#isPolling) this.#pollLater();
    } catch (thrown) {
      if (this.#polling === mine) this.#missPoll(problemOf(thrown));
    } finally {
      clearTimeout(tooLong);
    }
  }

  #missPoll(problem: Problem): void {
    if (problem.isUnknown) {
      this.#finish("deleted");
      return;
    }
    if (this.#isPolling) this.#pollLater(pauseAfter(problem, this.#pollsFailed, Math.random()));
    this.#pollsFailed += 1;
  }

  #pollLater(atLeast = 0): void {
    this.#polls = setTimeout(() => void this.#poll(), Math.max(this.source.pollEvery, atLeast));
  }

  /** What is being polled is older than what comes now. */
  #endPoll(): void {
    clearTimeout(this.#polls);
    this.#polling?.abort();
    this.#polling = undefined;
  }

  #close(): void {
    clearTimeout(this.#silence);
    this.#endPoll();
    this.#request?.abort();
    this.#request = undefined;
    this.#readySince = undefined;
    this.#leave?.();
    this.#leave = undefined;
  }
}
