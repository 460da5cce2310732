import { expect, it } from "vitest";
import { hostnameWrong, nameWrong, tooLong, withoutDot } from "./texts.ts";

it.each(["Customer support", "Café no. 1", "客服", "a/b_c'd-e"])("%s is a name", (name) => {
  expect(nameWrong(name)).toBe("");
});

it.each(["", "   ", "a&b", "...", "_", "a\nb", "x".repeat(129)])("%j is no name", (name) => {
  expect(nameWrong(name)).not.toBe("");
});

it("counts characters as people do", () => {
  expect(tooLong("🙂".repeat(3), 3)).toBe("");
  expect(tooLong("🙂".repeat(5), 3)).toBe("At most 3 characters: 2 too many");
});

it.each(["chat.example.com", "a"])("%s is a hostname", (name) => {
  expect(hostnameWrong(name)).toBe("");
});

it.each(["Chat.example.com", "https://chat", "a b", "10.0.0.1", "-a.com", `${"x".repeat(64)}.com`])(
  "%s is no hostname",
  (name) => {
    expect(hostnameWrong(name)).not.toBe("");
  },
);

it("a message that another sentence follows ends without its own dot", () => {
  expect(withoutDot("Preemption is not helpful for scheduling.")).toBe("Preemption is not helpful for scheduling");
  expect(withoutDot("waits..")).toBe("waits");
  expect(withoutDot("v1.4 waits")).toBe("v1.4 waits");
});
