import { describe, expect, it, vi } from "vitest";
import { NO_FILTERS } from "../../pure/history-filters.ts";
import type { Row } from "../../pure/shapes.ts";
import { HistoryPages } from "./pages.ts";

/** A cluster with rows, newest first, that tells which pages it was asked for. */
class Cluster {
  rows: Row[];
  asked: number[] = [];
  fails = false;
  lacks?: string;
  /** The newest rows, which are not in the archive: those that a filter takes. */
  unarchived?: number;
  /** The page that always fails. */
  broken = 0;

  constructor(count: number) {
    this.rows = Array.from({ length: count }, (_, each) => row(count - each));
  }

  deploy(): Row {
    const made = row(this.rows.length + 1);
    this.rows = [made, ...this.rows];
    return made;
  }

  pages(filters = NO_FILTERS): HistoryPages {
    return new HistoryPages("app", filters, async ({ until }, page, size, signal) => {
      this.asked.push(page);
      await Promise.resolve();
      if (signal?.aborted) throw new DOMException("", "AbortError");
      if (this.fails || page === this.broken) throw new Error("down");
      if (until !== "") {
        const total = this.rows.slice(0, this.unarchived).filter((each) => each.created_at < until).length;
        const lacks = this.unarchived === undefined ? undefined : "filters look at the rows in the cluster alone";
        return { rows: [], total, pages: 1, lacks };
      }
      const rows = this.rows.slice((page - 1) * size, page * size);
      return { rows, total: this.rows.length, pages: Math.ceil(this.rows.length / size), lacks: this.lacks };
    });
  }
}

const row = (sequence: number) =>
  ({
    id: `row-${sequence}`,
    sequence,
    status: "Superseded",
    created_at: new Date(sequence * 1000).toISOString(),
  }) as Row;
const settled = () => vi.waitFor(() => new Promise((resolve) => setTimeout(resolve, 0)));
const sequences = (pages: HistoryPages, from: number, until: number) =>
  Array.from({ length: until - from }, (_, each) => pages.at(from + each)?.sequence);

describe("HistoryPages", () => {
  it("reads what is looked at, and no more", async () => {
    const cluster = new Cluster(10_000);
    const pages = cluster.pages();
    await settled();
    expect([pages.total.value, pages.at(0)?.sequence, pages.at(60)]).toEqual([10_000, 10_000, undefined]);
    pages.look(9_990, 9_999);
    await settled();
    expect(sequences(pages, 9_997, 10_000)).toEqual([3, 2, 1]);
    expect([...new Set(cluster.asked)].sort((a, b) => a - b)).toEqual([1, 200]);
  });

  it("moves no row when a new one comes in at the top, and counts it", async () => {
    const cluster = new Cluster(200);
    const pages = cluster.pages();
    await settled();
    pages.look(100, 110);
    await settled();
    const [place, seen] = [pages.placeOf(105), pages.at(105)];
    pages.take(cluster.deploy());
    await settled();
    expect([pages.total.value, pages.at(0)?.sequence, pages.arrived.value]).toEqual([201, 201, 1]);
    expect(pages.placeOf(106)).toBe(place);
    expect(pages.at(106)).toBe(seen);
  });

  it("shows why older rows are missing while they are", async () => {
    const cluster = new Cluster(3);
    cluster.lacks = "older rows are in the archive, which cannot be read now";
    const pages = cluster.pages();
    await settled();
    expect(pages.lacks.value).toBe(cluster.lacks);
    cluster.lacks = undefined;
    pages.again();
    await settled();
    expect(pages.lacks.value).toBeUndefined();
  });

  it("counts those before a moment in the archive, too, where no filter can", async () => {
    const cluster = new Cluster(10_000);
    const pages = cluster.pages();
    await settled();
    const olderThan = (sequence: number) => pages.countBefore(new Date(sequence * 1000).toISOString());
    expect(await olderThan(9_000)).toBe(8_999);
    cluster.unarchived = 40;
    for (const sequence of [10_001, 10_000, 9_970, 9_960, 9_000, 2, 1]) {
      const asked = cluster.asked.length;
      expect(await olderThan(sequence), `#${sequence}`).toBe(sequence - 1);
      expect(cluster.asked.length - asked).toBeLessThanOrEqual(20);
    }
  });

  it("shows a change of a row where it is", async () => {
    const cluster = new Cluster(10);
    const pages = cluster.pages();
    await settled();
    const asked = cluster.asked.length;
    pages.take({ ...row(10), status: "Failed" });
    expect(pages.at(0)?.status).toBe("Failed");
    expect(cluster.asked.length).toBe(asked);
  });

  it("reads what is looked at again where rows have gone", async () => {
    const cluster = new Cluster(120);
    const pages = cluster.pages();
    await settled();
    pages.look(100, 119);
    await settled();
    cluster.rows = cluster.rows.slice(0, 110);
    pages.again();
    await settled();
    pages.look(100, 109);
    await settled();
    expect(pages.total.value).toBe(110);
    expect(sequences(pages, 106, 110)).toEqual([14, 13, 12, 11]);
  });

  it("keeps its rows while it cannot be read again, and shows why", async () => {
    const cluster = new Cluster(3);
    const pages = cluster.pages();
    await settled();
    cluster.fails = true;
    pages.again();
    await settled();
    expect(sequences(pages, 0, 3)).toEqual([3, 2, 1]);
    expect(pages.problem.value?.isAway).toBe(true);
    cluster.fails = false;
    pages.again();
    await settled();
    expect(pages.problem.value).toBeUndefined();
  });

  it("repeats a failed read by itself, more and more seldom, and reports it until it succeeds", async () => {
    vi.useFakeTimers();
    const cluster = new Cluster(200);
    const pages = cluster.pages();
    await vi.advanceTimersByTimeAsync(0);
    cluster.broken = 3;
    pages.look(100, 119);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(pages.problem.value?.isAway).toBe(true);
    const asked = cluster.asked.filter((page) => page === 3).length;
    expect([asked >= 4, asked <= 9]).toEqual([true, true]);
    cluster.broken = 0;
    await vi.advanceTimersByTimeAsync(45_000);
    expect([pages.problem.value, pages.at(110)?.sequence]).toEqual([undefined, 90]);
    vi.useRealTimers();
  });

  it("reads at most three times for many events, and shows the newest rows", async () => {
    const cluster = new Cluster(5);
    const pages = cluster.pages();
    for (let news = 0; news < 3; news += 1) pages.again();
    cluster.deploy();
    await settled();
    expect([pages.total.value, pages.at(0)?.sequence]).toEqual([6, 6]);
    expect(cluster.asked.length).toBeLessThanOrEqual(3);
  });

  it("forgets what is far from what is looked at", async () => {
    const cluster = new Cluster(10_000);
    const pages = cluster.pages();
    await settled();
    for (let index = 0; index < 10_000; index += 50) {
      pages.look(index, index + 15);
      await settled();
    }
    const kept = Array.from({ length: 10_000 }, (_, index) => pages.at(index)).filter(Boolean).length;
    expect(kept).toBeLessThanOrEqual(3_100);
    expect(pages.at(9_960)?.sequence).toBe(40);
    expect(pages.at(0)).toBeUndefined();
  });

  it("does not wait for what the reader went past", async () => {
    const cluster = new Cluster(10_000);
    const pages = cluster.pages();
    await settled();
    pages.look(2_000, 2_010);
    pages.look(8_000, 8_010);
    await settled();
    expect([pages.at(2_005), pages.at(8_005)?.sequence]).toEqual([undefined, 1_995]);
    pages.look(4_000, 4_010);
    pages.look(6_000, 6_010);
    pages.look(4_000, 4_010);
    await settled();
    expect(pages.at(4_005)?.sequence).toBe(5_995);
  });
});
