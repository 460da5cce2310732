import { expect, it } from "vitest";
import { signal } from "./signal.ts";

it("calls a listener with its value at once, and with each other value until it is removed", () => {
  const value = signal(1);
  const told: number[] = [];
  const stop = value.subscribe((is) => told.push(is));
  value.value = 2;
  value.value = 2;
  value.value = 3;
  stop();
  value.value = 4;
  expect(told).toEqual([1, 2, 3]);
  expect(value.value).toBe(4);
});
