import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Stream, Told } from "./stream.ts";

const ADDRESS = "/v1/apps/1/watch";
const EVERY = 2_000;
const ANSWERED: Told[] = [{ kind: "polled" }];

interface Poll {
  signal: AbortSignal;
  answer: (told?: Told[]) => void;
  fail: (thrown: unknown) => void;
}

let polls: Poll[];
let told: string[];
let streams: ReadableStreamDefaultController<Uint8Array>[];
let stream: Stream;

/** A page that follows one App. `places`: whether it gets a stream at all. */
async function follow({ places }: { places: boolean }): Promise<void> {
  const request = (_name: string, _options: object, held: (lock: object | null) => unknown) =>
    Promise.resolve(held(places ? {} : null));
  vi.stubGlobal("navigator", { locks: { request } });
  const found = await import("./stream.ts");
  const poll = (signal: AbortSignal) =>
    new Promise<Told[]>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      polls.push({ signal, answer: (says = ANSWERED) => resolve(says), fail: reject });
    });
  stream = new found.Stream({ address: ADDRESS, poll, pollEvery: EVERY }, ({ kind }) => told.push(kind));
  await seconds(0);
}

const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1_000);
const last = () => polls.at(-1) as Poll;
const says = (text: string) => streams.at(-1)?.enqueue(new TextEncoder().encode(text));

beforeEach(() => {
  vi.useFakeTimers();
  // A place is looked for again after 10 s, give or take a quarter.
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  vi.resetModules();
  polls = [];
  told = [];
  streams = [];
  vi.stubGlobal("location", { origin: "https://console.invalid" });
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("fetch", async (address: string) => {
    if (address !== ADDRESS) return Response.json({});
    return new Response(new ReadableStream<Uint8Array>({ start: (control) => void streams.push(control) }));
  });
});
afterEach(() => {
  stream.stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

it("polls once more when the poll before is answered, not before", async () => {
  await follow({ places: false });
  await seconds(7);
  expect(polls.length).toBe(1);
  last().answer();
  await seconds(1.9);
  expect([polls.length, told]).toEqual([1, ["polled"]]);
  await seconds(0.2);
  expect(polls.length).toBe(2);
});

it("waits ten seconds for a poll and no longer", async () => {
  await follow({ places: false });
  last().answer();
  await seconds(2.1);
  const { signal } = last();
  await seconds(10.1);
  expect(signal.aborted).toBe(true);
  await seconds(5);
  expect(last().signal.aborted).toBe(false);
});

it("polls more and more seldom where polls are refused, and not before the API asked for", async () => {
  const { Problem } = await import("../api/problem.ts");
  await follow({ places: false });
  last().fail(new Problem(503, "unavailable", "", {}, 9));
  await seconds(8.9);
  const before = polls.length;
  expect(before).toBeLessThanOrEqual(2);
  await seconds(20);
  expect(polls.length).toBeGreaterThan(before);
});

it("drops a poll that is older than an event of the stream", async () => {
  await follow({ places: true });
  await seconds(5);
  const slow = last();
  await seconds(1.5);
  says("event: ready\ndata: {}\n\n");
  await seconds(0);
  expect(slow.signal.aborted).toBe(true);
  slow.answer();
  await seconds(30);
  expect([told, polls.length]).toEqual([["again"], 1]);
});

it("ends a poll with the page that it was for", async () => {
  await follow({ places: false });
  stream.stop();
  expect(last().signal.aborted).toBe(true);
  await seconds(60);
  expect(polls.length).toBe(1);
});
