import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Problem } from "../api/problem.ts";
import { pauseAfter, Retries } from "./retries.ts";

const failed = (status: number, after?: number) => new Problem(status, "", "", {}, after);

it("waits twice as long each time, up to half a minute", () => {
  const pauses = [0, 1, 2, 3, 4, 5, 60].map((tries) => pauseAfter(failed(503), tries, 0));
  expect(pauses).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

it("never comes before the API asked for, and not all come at one moment", () => {
  expect(pauseAfter(failed(503, 45), 0, 0)).toBe(45_000);
  expect(pauseAfter(failed(429, 1), 2, 1)).toBe(12_000);
  expect(pauseAfter(failed(503, 1e12), 0, 0)).toBe(300_000);
});

it.each([0, 429, 502, 503, 504])("tries again after %d", (status) => {
  expect(pauseAfter(failed(status), 0, 0)).toBe(2_000);
});

it.each([400, 401, 403, 404, 409, 422, 500])("does not try again after %d: it would be the same", (status) => {
  expect(pauseAfter(failed(status), 0, 0)).toBeUndefined();
});

describe("Retries", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("tries once for each failure, and begins anew once it was read", () => {
    const again = vi.fn();
    const retries = new Retries(again);
    retries.failed(failed(503));
    retries.failed(failed(503));
    vi.advanceTimersByTime(3_900);
    expect(again).toHaveBeenCalledTimes(0);
    vi.advanceTimersByTime(60_000);
    expect(again).toHaveBeenCalledTimes(1);
    retries.done();
    retries.failed(failed(503));
    vi.advanceTimersByTime(3_000);
    expect(again).toHaveBeenCalledTimes(2);
  });
});
