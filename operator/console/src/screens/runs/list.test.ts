import { expect, it } from "vitest";
import { Problem } from "../../api/problem.ts";
import type { Run, RunPage, RunQuery } from "../../api/runs.ts";
import { RunList } from "./list.ts";

/** Runs by number, the highest is the newest; a page begins after its cursor. */
function recorder(count: number) {
  const asked: RunQuery[] = [];
  const state = { count, asked, fails: false };
  const read = async (query: RunQuery): Promise<RunPage> => {
    asked.push(query);
    if (state.fails) throw new Problem(503, "unavailable", "away");
    const from = query.cursor === undefined ? state.count : Number(query.cursor);
    const size = query.page_size as number;
    const ids = Array.from({ length: Math.min(size, from) }, (_, each) => from - each);
    const next = from - size;
    return {
      data: ids.map((id) => ({ id: String(id) }) as Run),
      pagination: {
        page: 1,
        page_size: size,
        page_count: 1,
        total_count: Math.min(state.count, 10_000),
        next_cursor: next > 0 ? String(next) : null,
        counted_to: 10_000,
      },
    };
  };
  return { ...state, state, read };
}

const settled = () => new Promise((done) => setTimeout(done));
const ids = (list: RunList) => list.runs.value.map(({ id }) => Number(id));

it("reads on behind what is known, and no page twice", async () => {
  const { read, asked } = recorder(250);
  const list = new RunList({ tag: "beta" }, read);
  await settled();
  list.more();
  list.more();
  await settled();
  list.more();
  await settled();
  list.more();
  await settled();
  expect(ids(list)).toEqual(Array.from({ length: 250 }, (_, each) => 250 - each));
  expect(asked.map(({ cursor, tag }) => [cursor, tag])).toEqual([
    [undefined, "beta"],
    ["150", "beta"],
    ["50", "beta"],
  ]);
  expect(list.older).toBe(150);
});

it("keeps what is new aside until it is taken", async () => {
  const { read, state } = recorder(120);
  const list = new RunList({}, read);
  await settled();
  state.count = 123;
  await list.look();
  expect(ids(list)[0]).toBe(120);
  expect(list.fresh.value.map(({ id }) => id)).toEqual(["123", "122", "121"]);
  expect(list.total.value).toEqual({ count: 123, isMore: false });
  list.take();
  expect(ids(list).slice(0, 4)).toEqual([123, 122, 121, 120]);
  expect(list.fresh.value).toEqual([]);
});

it("begins anew where more came than it can tell apart", async () => {
  const { read, state } = recorder(120);
  const list = new RunList({}, read);
  await settled();
  state.count = 400;
  await list.look();
  list.take();
  await settled();
  expect(ids(list)[0]).toBe(400);
  expect(ids(list)).toHaveLength(100);
});

it("says why it could not be read, and goes on where it was", async () => {
  const { read, state } = recorder(250);
  const list = new RunList({}, read);
  await settled();
  state.fails = true;
  list.more();
  await settled();
  expect(list.problem.value?.message).toBe("away");
  state.fails = false;
  list.again();
  await settled();
  expect(list.problem.value).toBeUndefined();
  list.drop("250");
  expect(ids(list)[0]).toBe(249);
});

it("leaves out what was asked for before it began anew", async () => {
  const { read } = recorder(250);
  const list = new RunList({}, read);
  await settled();
  list.more();
  list.again();
  await settled();
  expect(ids(list)).toHaveLength(100);
  list.more();
  await settled();
  expect(ids(list)).toEqual(Array.from({ length: 200 }, (_, each) => 250 - each));
});
