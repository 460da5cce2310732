import { expect, test } from "vitest";
import { type Event, readOn } from "./events.ts";

/** What is read of a stream that comes in these pieces. */
function read(...pieces: string[]): Event[] {
  let rest = "";
  return pieces.flatMap((piece) => {
    const step = readOn(rest, piece);
    rest = step.rest;
    return step.events;
  });
}

const STREAM = 'event: ready\ndata: {}\n\n: ping\n\nevent: app\ndata: {"name": "a: b"}\n\n';
const TOLD = [
  { kind: "ready", data: "{}" },
  { kind: "app", data: '{"name": "a: b"}' },
];

test("events are read whole, however the stream is cut", () => {
  expect(read(STREAM)).toEqual(TOLD);
  expect(read(...STREAM)).toEqual(TOLD);
  expect(read(...STREAM.replaceAll("\n", "\r\n"))).toEqual(TOLD);
});

test("an incomplete event is not returned", () => {
  expect(read('event: app\ndata: {"na')).toEqual([]);
  expect(read('event: app\ndata: {"na', 'me": 1}\n')).toEqual([]);
});

test("data of several lines is one text", () => {
  expect(read("event: app\ndata: a\ndata: b\n\n")).toEqual([{ kind: "app", data: "a\nb" }]);
});

test("pings, ids and retry times are no events", () => {
  expect(read(": ping\n\nid: 3\nretry: 10\n\n")).toEqual([]);
});
