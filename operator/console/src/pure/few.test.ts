import { expect, it } from "vitest";
import { fewAtOnce } from "./few.ts";

it("runs so many at once, each in its turn, also where some fail", async () => {
  const few = fewAtOnce(3);
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const task = (number: number) => async () => {
    begun.push(number);
    running += 1;
    most = Math.max(most, running);
    await Promise.resolve();
    running -= 1;
    if (number % 4 === 0) throw new Error(String(number));
    return number;
  };
  const all = Array.from({ length: 20 }, (_, number) => number);
  const ends = await Promise.allSettled(all.map((number) => few(task(number))));
  expect(most).toBe(3);
  expect(begun).toEqual(all);
  expect(ends.map(({ status }) => status === "fulfilled")).toEqual(all.map((number) => number % 4 !== 0));
  expect(await few(async () => "more")).toBe("more");
});
