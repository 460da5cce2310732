import { expect, it } from "vitest";
import { answerTo } from "./callbacks.ts";

it.each([
  [null, null, ""],
  [500, null, "HTTP 500"],
  [null, "unreachable", "unreachable"],
  [302, "redirect", "HTTP 302: redirect"],
])("%s and %s is %s", (status, error, says) => expect(answerTo({ status, error })).toBe(says));
