import { expect, it } from "vitest";
import { conversationsInWords } from "./conversations.ts";

it.each([
  [1, 0, "1 conversation"],
  [1204, 3, "1,204 conversations, 3 of them active"],
])("%i, %i active: %s", (sessions, recent, says) => expect(conversationsInWords({ sessions, recent })).toBe(says));
