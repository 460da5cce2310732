import { expect, it, vi } from "vitest";
import { Problem } from "../../api/problem.ts";
import type { Run, RunPage, RunQuery } from "../../pure/shapes.ts";
import { RunList } from "./list.ts";

/** When a run of a number began. */
const at = (id: number) => `2026-11-24T12:00:${id.toFixed(3).padStart(10, "0")}Z`;

/**
 * Runs by number, the highest is the newest; a page begins after its cursor. Of `gone` ones none is told, and `late` ones stand between
 * others. With `fits` a page looks at as many runs as it has places, and is short where few of them fit.
 */
function recorder(count: number, fits: (id: number) => boolean = () => true) {
  const asked: RunQuery[] = [];
  const state = { count, asked, fails: false, gone: new Set<number>(), late: [] as number[], fits };
  const read = async (query: RunQuery): Promise<RunPage> => {
    asked.push(query);
    if (state.fails) throw new Problem(503, "unavailable", "away");
    const from = query.cursor === undefined ? state.count : Number(query.cursor);
    const size = query.page_size as number;
    const all = Array.from({ length: state.count }, (_, each) => state.count - each).concat(state.late);
    const behind = all.filter((id) => id <= from && !state.gone.has(id)).sort((one, other) => other - one);
    const looked = behind.slice(0, size);
    const next = behind[size] ?? 0;
    return {
      data: looked.filter((id) => state.fits(id)).map((id) => ({ id: String(id), started_at: at(id) }) as Run),
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

it("takes for new only what is newer than the oldest that it knows", async () => {
  const { read, state } = recorder(250);
  const list = new RunList({}, read);
  await settled();
  state.gone.add(200);
  list.drop("200");
  await list.look();
  expect(list.fresh.value).toEqual([]);
  state.count = 251;
  await list.look();
  list.take();
  list.more();
  await settled();
  expect(ids(list)).toEqual(Array.from({ length: 201 }, (_, each) => 251 - each).filter((id) => id !== 200));
});

it("puts a run that took long where it began", async () => {
  const { read, state } = recorder(120);
  const list = new RunList({}, read);
  await settled();
  state.count = 121;
  state.late = [60.5];
  await list.look();
  list.take();
  expect(ids(list).slice(0, 2)).toEqual([121, 120]);
  expect(ids(list).indexOf(60.5)).toBe(ids(list).indexOf(61) + 1);
});

it("has a run that began before all that it knows, where these are all", async () => {
  const { read, state } = recorder(3);
  const list = new RunList({}, read);
  await settled();
  state.late = [0.5];
  await list.look();
  list.take();
  expect(ids(list)).toEqual([3, 2, 1, 0.5]);
});

it("is read again after a missing response, and not after a refusal", async () => {
  const { read, state } = recorder(10);
  state.fails = true;
  const list = new RunList({}, read);
  await settled();
  expect(list.problem.value?.isAway).toBe(true);
  state.fails = false;
  await list.look();
  await settled();
  expect(list.problem.value).toBeUndefined();
  expect(ids(list)).toHaveLength(10);

  const asked = vi.fn(() => Promise.reject(new Problem(403, "forbidden", "not yours")));
  const refused = new RunList({}, asked);
  await settled();
  await refused.look();
  await settled();
  expect(asked).toHaveBeenCalledTimes(1);
});

it("reads on while pages are short or empty, and reports it", async () => {
  const { read, state, asked } = recorder(950, (id) => id < 40);
  const list = new RunList({ tag: "rare" }, read);
  const seen: [boolean, number, unknown][] = [];
  list.total.subscribe((total) => seen.push([list.isSearching.value, list.runs.value.length, total?.isMore]));
  await settled();
  expect(ids(list)).toEqual(Array.from({ length: 39 }, (_, each) => 39 - each));
  expect(asked).toHaveLength(10);
  expect(seen.slice(-2)).toEqual([
    [true, 0, true],
    [false, 39, false],
  ]);
  state.fits = (id) => id % 50 === 0;
  list.again();
  await settled();
  expect(ids(list)).toHaveLength(19);
});

it("reads on below what is known, where the next pages are empty", async () => {
  const { read } = recorder(650, (id) => id > 550 || id <= 100);
  const list = new RunList({}, read);
  await settled();
  expect(ids(list)).toHaveLength(100);
  list.more();
  await settled();
  expect(ids(list)).toHaveLength(200);
  expect(list.isSearching.value).toBe(false);
});

it("searches no further after its last listener left", async () => {
  const { read, asked } = recorder(10_000, () => false);
  const list = new RunList({}, (query) => {
    if (asked.length === 3) list.stop();
    return read(query);
  });
  await settled();
  expect(asked).toHaveLength(4);
});

it("starts again after more new runs than it can tell apart", async () => {
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

it("shows why it could not be read, and continues at its place", async () => {
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

it("drops reads from before its restart", async () => {
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
