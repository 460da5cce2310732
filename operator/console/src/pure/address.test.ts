import { expect, test } from "vitest";
import { addressOf } from "./address.ts";

test("a hostname is called by https, a URL as it is", () => {
  expect(addressOf("support.example.com")).toBe("https://support.example.com");
  expect(addressOf("http://support.demo.svc:8080")).toBe("http://support.demo.svc:8080");
  expect(addressOf("")).toBeUndefined();
});
