import { expect, test } from "vitest";
import { errorOf, refusalOf, targetOf } from "./sign-in.ts";

test("a sign-in continues to the requested link, with its query", () => {
  expect(targetOf("/console/apps/1/history?status=Failed")).toBe("/console/apps/1/history?status=Failed");
});

test.each([
  undefined,
  "",
  "https://evil.example",
  "//evil.example",
  "/console",
  "/consoles/",
  "/v1/apps",
  "javascript:alert(1)",
  "/console/../..//evil.example",
  "/console/%2e%2e/v1/me",
  "/console/..\\..\\\\evil.example",
  "/console//evil.example",
  "/console/\t/evil.example",
  "/console/apps/../sign-in",
])("%s is no target", (to) => {
  expect(targetOf(to)).toBe("/console/");
});

test("the sign-in itself is no target: it would come back for ever", () => {
  expect(targetOf("/console/sign-in?to=/console/")).toBe("/console/");
});

test.each(["state", "nonce", "refused", "provider", "expired", "cluster", "token"])(
  "the error %s has words of its own",
  (code) => {
    expect(errorOf(code)).not.toBe(errorOf("something else"));
    expect(errorOf(code)).toBeTruthy();
  },
);

test("without an error there is no message", () => {
  expect(errorOf(undefined)).toBeUndefined();
});

test("a token that the cluster does not take is refused without the words for programs, and what else went wrong keeps its own", () => {
  expect(refusalOf({ status: 401, message: "send `Authorization: Bearer <token>`" })).not.toContain("Authorization");
  expect(refusalOf({ status: 422, message: "a token has no spaces" })).toBe("a token has no spaces");
});
