import { describe, expect, it } from "vitest";
import { ended, labelled, line, moments, readable, ticks } from "./chart.ts";
import { asRunQuery, asRunSearch, isRunFiltered, readRunFilters } from "./run-filters.ts";
import { treeOf } from "./run-tree.ts";
import {
  comparedLines,
  costOf,
  count,
  dollars,
  failureRate,
  figuresInWords,
  percent,
  rowOf,
  took,
} from "./run-words.ts";
import type { RunComparison, RunNode } from "./shapes.ts";

describe("figures in words", () => {
  it.each([
    [null, "—"],
    [0.42, "0.42 ms"],
    [8, "8 ms"],
    [812.4, "812 ms"],
    [999.7, "1 s"],
    [1240, "1.24 s"],
    [34_560, "34.6 s"],
    [125_000, "2 min 5 s"],
    [3_780_000, "1 h 3 min"],
  ])("%s milliseconds are %s", (ms, says) => expect(took(ms)).toBe(says));

  it.each([
    [null, "—"],
    [0, "$0.00"],
    [0.00042, "$0.00042"],
    [0.1234, "$0.12"],
    [12.4, "$12.40"],
    [1234.5, "$1,234.50"],
  ])("%s dollars are %s", (usd, says) => expect(dollars(usd)).toBe(says));

  it.each([
    [999, "999"],
    [9_999, "9,999"],
    [12_345, "12.3K"],
    [345_678, "346K"],
    [1_234_567, "1.23M"],
  ])("%s are in short %s", (number, says) => expect(count(number, true)).toBe(says));

  it("marks an unknown price, never as 0", () => {
    expect(costOf({ cost_usd: null, unpriced_calls: 2 })).toBe("unpriced");
    expect(costOf({ cost_usd: 0.5, unpriced_calls: 2 })).toBe("$0.50 + unpriced");
    expect(costOf({ cost_usd: null, unpriced_calls: 0 })).toBe("—");
  });

  it("leaves refused and abandoned runs out of the rate of failures", () => {
    expect(percent(failureRate({ runs: 110, failed: 1, refused: 10, abandoned: 0 }))).toBe("1 %");
    expect(percent(failureRate({ runs: 110, failed: 5, refused: 10, abandoned: 50 }))).toBe("10 %");
    expect(failureRate({ runs: 3, failed: 0, refused: 1, abandoned: 2 })).toBeNull();
  });

  it("summarizes a row's runs in one line", () => {
    const counts = { runs: 1204, failed: 5, refused: 0, abandoned: 0 };
    const figures = { ...counts, p50_ms: 1, p95_ms: 812, cost_usd: 0.42, unpriced_calls: 0 };
    const tokens = { input_tokens: 1, output_tokens: 1, cache_read_tokens: null, cache_write_tokens: null };
    expect(figuresInWords({ ...figures, ...tokens })).toBe("1,204 runs · 0.4 % failed · p95 812 ms · $0.42");
    expect(figuresInWords({ ...figures, ...tokens, runs: 0 })).toBe("no runs");
  });

  it("names a row as far as it is known", () => {
    expect(rowOf({ workflow_version: "v3", sequence: 12 })).toBe("v3 #12");
    expect(rowOf({ workflow_version: null, sequence: null })).toBe("—");
  });
});

describe("filters of runs", () => {
  it("come back from the address as they went", () => {
    const filters = {
      status: ["failed", "timed_out"],
      session_id: "s 1&2",
      min_duration_ms: "1000",
      sort: "-cost_usd",
    };
    const query = Object.fromEntries(new URLSearchParams(asRunSearch(filters)));
    expect(readRunFilters(query)).toEqual(filters);
    expect(asRunQuery(filters)).toEqual(filters);
  });

  it("leave out what the API would not take", () => {
    const query = {
      status: "failed,odd",
      from: "yesterday",
      min_duration_ms: "long",
      sort: "name",
    };
    expect(readRunFilters(query)).toEqual({ status: ["failed"] });
  });

  it("are none where only the order is another", () => {
    expect(isRunFiltered({ sort: "-cost_usd" })).toBe(false);
    expect(isRunFiltered({ tag: "beta" })).toBe(true);
  });
});

const node = (span_id: string, parent_id: string | null, offset_ms: number) =>
  ({ span_id, parent_id, offset_ms }) as RunNode;

describe("the tree of a run", () => {
  const nodes = [node("a", null, 0), node("b", null, 9), node("a2", "a", 5), node("a1", "a", 1), node("lost", "?", 3)];

  it("has each node below the one that it ran in, as they began", () => {
    const rows = treeOf(nodes, new Set());
    expect(rows.map((row) => `${row.node.span_id} ${row.level}`)).toEqual(["a 1", "a1 2", "a2 2", "lost 1", "b 1"]);
    expect(rows[0]?.isParent).toBe(true);
  });

  it("leaves out what is in a closed one", () => {
    expect(treeOf(nodes, new Set(["a"])).map((row) => row.node.span_id)).toEqual(["a", "lost", "b"]);
  });
});

describe("a chart", () => {
  it("has a place for each interval, those without runs too", () => {
    const found = moments("2026-11-24T12:34:56Z", "2026-11-24T15:00:00Z", "hour");
    expect(found.map((at) => new Date(at).toISOString().slice(11, 16))).toEqual(["12:00", "13:00", "14:00"]);
  });

  it("knows which interval is still going on", () => {
    const hours = moments("2026-11-24T12:00:00Z", "2026-11-24T14:20:00Z", "hour");
    expect(ended(hours, Date.parse("2026-11-24T14:20:00Z"))).toBe(2);
    expect(ended(hours, Date.parse("2026-11-24T15:00:00Z"))).toBe(3);
  });

  it.each([
    [0, [0, 1]],
    [4, [0, 1, 2, 3, 4]],
    [9, [0, 2.5, 5, 7.5, 10]],
    [812, [0, 250, 500, 750, 1000]],
  ])("of at most %s has round ticks", (most, found) => expect(ticks(most)).toEqual(found));

  it("has a gap where nothing is known", () => {
    const points = [
      { at: 0, value: 1 },
      { at: 1, value: 2 },
      { at: 2, value: null },
      { at: 3, value: 4 },
    ];
    expect(
      line(
        points,
        (at) => at,
        (value) => value,
      ),
    ).toBe("M0.0 1.0L1.0 2.0M3.0 4.0");
  });

  const told = (places: number[]) =>
    labelled(
      places.map((x) => ({ x })),
      (marks) => marks.length * 10 + 10,
      200,
    ).map(({ marks, x }) => `${marks.map((mark) => mark.x)} at ${x}`);

  it("has one label for marks whose labels would lie over each other, and names each of them", () => {
    expect(told([20, 60, 70, 120])).toEqual(["20 at 20", "60,70 at 65", "120 at 120"]);
    expect(told([20, 38, 70])).toEqual(["20,38 at 29", "70 at 70"]);
    expect(told([20, 41, 48])).toEqual(["20,41,48 at 34"]);
  });

  it("has no label over its edges", () => expect(told([1, 195])).toEqual(["1 at 10", "195 at 190"]));

  it("names no mark where there is no room", () => {
    expect(readable([0, 10, 30, 35, 70], 28)).toEqual([0, 2, 4]);
  });
});

describe("two rows compared", () => {
  const figure = { value: 1400, baseline: 1000, ratio: 1.4, low: 1.2, high: 1.6, p_value: 0, verdict: "regressed" };
  const rate = { value: 0.05, baseline: 0.02, ratio: 2.5, low: 0.01, high: 0.05, p_value: 0, verdict: "unchanged" };
  const found = {
    deployment: { figures: { runs: 2000 }, score_means: { thumbs: 0.5 } },
    baseline: { figures: { runs: 1800 }, score_means: {} },
    p50_ms: null,
    p95_ms: figure,
    failure_rate: rate,
    cost_usd: { ...figure, value: null, baseline: 0.01, ratio: null, low: null, high: null, verdict: "unknown" },
    tokens: null,
  } as unknown as RunComparison;

  it("are shown figure by figure, with a dash for an unknown value", () => {
    const lines = comparedLines(found).map((each) => [
      each.label,
      each.baseline,
      each.value,
      each.change,
      each.interval,
    ]);
    expect(lines).toEqual([
      ["Runs", "1,800", "2,000", "", ""],
      ["p95", "1 s", "1.4 s", "× 1.4", "× 1.2 to × 1.6"],
      ["Failed", "2 %", "5 %", "+3 points", "+1 points to +5 points"],
      ["Cost of a run", "$0.010", "—", "—", ""],
      ["Score: thumbs", "—", "0.50", "", ""],
    ]);
  });
});
