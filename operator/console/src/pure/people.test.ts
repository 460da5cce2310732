import { expect, it } from "vitest";
import { personOf } from "./people.ts";

it.each([
  ["system:serviceaccount:demo:boss", "boss (demo)"],
  ["anna@example.com", "anna@example.com"],
  ["system:admin", "system:admin"],
  ["oidc:system:serviceaccount:demo:boss", "oidc:system:serviceaccount:demo:boss"],
])("%s is called %s", (username, called) => expect(personOf(username)).toBe(called));
