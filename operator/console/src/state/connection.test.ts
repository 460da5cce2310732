import { afterEach, beforeEach, expect, it, vi } from "vitest";

/** What the browser has and Node has not. */
class Browser {
  readonly asked: string[] = [];
  private readonly listeners = new Map<string, () => void>();
  /** What is answered to a path; undefined: nobody answers. */
  answer: (path: string) => Response | undefined = good;

  asks(path: string): number {
    return this.asked.filter((each) => each === path).length;
  }

  says(event: "online" | "offline"): void {
    this.listeners.get(event)?.();
  }

  install(): void {
    vi.stubGlobal("location", { origin: "https://console.invalid" });
    vi.stubGlobal("addEventListener", (name: string, listener: () => void) => this.listeners.set(name, listener));
    vi.stubGlobal("fetch", async (given: Request | string) => {
      const { pathname } = new URL(typeof given === "string" ? given : given.url, "https://console.invalid");
      this.asked.push(pathname);
      const found = this.answer(pathname);
      if (found === undefined) throw new TypeError("Failed to fetch");
      return found;
    });
  }
}

const THERE = "/v1/orgs";
const READS = ["/v1/me", "/v1/projects", "/v1/runtimes"] as const;
const BROKEN = "/v1/runtimes";

const good = () => Response.json({ data: [] });
const busy = (after?: string) => Response.json({}, { status: 503, headers: after ? { "Retry-After": after } : {} });

/** A page that shows three reads. */
async function page() {
  const { connection } = await import("./connection.ts");
  const { entryOf, show } = await import("./query.ts");
  const { call, GET } = await import("../api/client.ts");
  const queries = READS.map((path) => entryOf(path, (signal) => call<unknown>(GET(path, { signal }) as never)));
  queries.map(show);
  await seconds(0);
  return { connection, queries };
}

const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1_000);

let browser: Browser;
beforeEach(() => {
  vi.useFakeTimers();
  vi.resetModules();
  browser = new Browser();
  browser.install();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("reads again the one call that has no answer, more and more seldom, and nothing else", async () => {
  browser.answer = (path) => (path === BROKEN ? busy() : good());
  const { connection, queries } = await page();
  expect(queries.map((each) => each.problem.value?.status)).toEqual([undefined, undefined, 503]);
  const told: string[] = [];
  connection.subscribe((is) => told.push(is));
  await seconds(10);
  const soon = browser.asks(BROKEN);
  await seconds(110);
  expect([browser.asks("/v1/me"), browser.asks("/v1/projects")]).toEqual([1, 1]);
  expect(told).toEqual(["online"]);
  expect([soon >= 2, soon <= 4]).toEqual([true, true]);
  expect(browser.asks(BROKEN)).toBeLessThanOrEqual(9);
  expect(browser.asks(THERE)).toBeLessThanOrEqual(9);
  browser.answer = good;
  await seconds(45);
  expect(queries[2]?.problem.value).toBeUndefined();
  const before = browser.asked.length;
  await seconds(600);
  expect(browser.asked.length).toBe(before);
});

it("asks at most each three seconds whether the API is there, however often a call fails", async () => {
  browser.answer = (path) => (path === BROKEN ? busy() : good());
  const { queries } = await page();
  for (let poll = 0; poll < 40; poll += 1) {
    void queries[2]?.refresh();
    await seconds(0.5);
  }
  expect(browser.asks(THERE)).toBeLessThanOrEqual(8);
});

it("asks no sooner again than the API asks for", async () => {
  browser.answer = (path) => (path === BROKEN ? busy("20") : good());
  await page();
  await seconds(19);
  expect(browser.asks(BROKEN)).toBe(1);
  await seconds(12);
  expect(browser.asks(BROKEN)).toBe(2);
});

it("reports a missing response, repeats only that call, and reads all once when there is one", async () => {
  const { connection, queries } = await page();
  browser.answer = () => undefined;
  void queries[0]?.refresh();
  await seconds(0);
  expect(connection.value).toBe("away");
  await seconds(60);
  expect(READS.map((path) => browser.asks(path))).toEqual([2, 1, 1]);
  expect(browser.asks(THERE)).toBeLessThanOrEqual(10);
  browser.answer = good;
  await seconds(13);
  expect(connection.value).toBe("online");
  expect(queries[0]?.problem.value).toBeUndefined();
  await seconds(300);
  expect(READS.map((path) => browser.asks(path))).toEqual([3, 2, 2]);
});

it("reports a missing network at once, and reads all as soon as it is back", async () => {
  const { connection } = await page();
  browser.says("offline");
  expect(connection.value).toBe("away");
  browser.says("online");
  await seconds(0);
  expect(connection.value).toBe("online");
  await seconds(60);
  expect(READS.map((path) => browser.asks(path))).toEqual([2, 2, 2]);
  expect(browser.asks(THERE)).toBe(1);
});

it("asks an API that is back for moments more and more seldom: what is too much for it is not made more", async () => {
  const { queries } = await page();
  // It answers whether it is there, and then no read.
  let isThere = false;
  browser.answer = (path) => {
    if (path === THERE) isThere = !isThere;
    return path === THERE && isThere ? good() : busy("1");
  };
  isThere = true;
  void queries[0]?.refresh();
  await seconds(0);
  const before = browser.asked.length;
  await seconds(120);
  // Without a rest in between it would be hundreds.
  expect(browser.asked.length - before).toBeLessThan(100);
});

it("is not back while the API refuses by its limits", async () => {
  const { connection } = await page();
  browser.says("offline");
  browser.answer = () => new Response(null, { status: 429 });
  browser.says("online");
  await seconds(30);
  expect(connection.value).toBe("away");
  expect(READS.map((path) => browser.asks(path))).toEqual([1, 1, 1]);
});
