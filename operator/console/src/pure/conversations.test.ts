import { expect, it } from "vitest";
import { conversationsInWords } from "./conversations.ts";

it.each([
  [1, 0, 0, "1 conversation"],
  [1204, 3, 0, "1,204 conversations, 3 of them active"],
  [0, 0, 1204, "0 conversations, 1,204 moved to another row"],
])("%i, %i active, %i moved: %s", (sessions, recent, moved, says) =>
  expect(conversationsInWords({ sessions, recent, moved })).toBe(says),
);
