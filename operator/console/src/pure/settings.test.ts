import { expect, it } from "vitest";
import {
  differences,
  exposureInWords,
  hasAll,
  meanwhile,
  onTop,
  patchOf,
  type Settings,
  taken,
  type Variable,
} from "./settings.ts";

const NO_EXPOSURE = {
  type: null,
  class: null,
  tls_secret: null,
  gateway: null,
  gateway_section: null,
  annotations: {},
};
const plain = (name: string, value: string): Variable => ({ name, value, secret: null, config_map: null });
const KEY: Variable = { name: "API_KEY", value: null, secret: { name: "openai", key: "api-key" }, config_map: null };

function settings(change: Partial<Settings> = {}): Settings {
  return {
    description: "Answers",
    hostname: "support.example.com",
    exposure: NO_EXPOSURE,
    access_type: "private",
    variables: [plain("REGION", "eu-west"), KEY],
    ...change,
  };
}

it("returns differences by field", () => {
  const to = settings({
    hostname: "",
    access_type: "public",
    variables: [plain("REGION", "eu-east"), plain("NEW", "1")],
  });
  expect(differences(settings(), to)).toEqual([
    { field: "hostname", label: "Hostname", from: "support.example.com", to: null },
    { field: "access_type", label: "Access", from: "private", to: "public" },
    { field: "variables.REGION", label: "Variable REGION", from: "eu-west", to: "eu-east" },
    { field: "variables.API_KEY", label: "Variable API_KEY", from: 'from Secret openai, key "api-key"', to: null },
    { field: "variables.NEW", label: "Variable NEW", from: null, to: "1" },
  ]);
  expect(differences(settings(), settings())).toEqual([]);
});

it("distinguishes an empty variable from a missing one, and a value from a reference that reads the same", () => {
  const empty = settings({ variables: [plain("REGION", ""), KEY] });
  expect(differences(empty, settings({ variables: [KEY] }))).toHaveLength(1);
  const lookalike = settings({
    variables: [plain("REGION", "eu-west"), plain("API_KEY", 'from Secret openai, key "api-key"')],
  });
  expect(differences(settings(), lookalike)).toHaveLength(1);
});

it("recognizes its own change if the response to it was lost", () => {
  const mine = settings({ description: "Mine", variables: [plain("REGION", "eu-east"), KEY] });
  const elsewhere = settings({ ...mine, hostname: "other.example.com" });
  expect([mine, elsewhere].map((now) => hasAll(settings(), mine, now))).toEqual([true, true]);
  const half = settings({ description: "Mine" });
  expect(hasAll(settings(), mine, half)).toBe(false);
});

it("returns the changes of others, and the fields in which the form differs", () => {
  const mine = settings({ hostname: "mine.example.com", variables: [plain("REGION", "mine"), KEY] });
  const now = settings({ hostname: "now.example.com", description: "Now", variables: [plain("REGION", "mine"), KEY] });
  expect(meanwhile(settings(), mine, now)).toEqual([
    { field: "description", label: "Description", before: "Answers", now: "Now" },
    {
      field: "hostname",
      label: "Hostname",
      before: "support.example.com",
      now: "now.example.com",
      mine: "mine.example.com",
    },
    { field: "variables.REGION", label: "Variable REGION", before: "eu-west", now: "mine" },
  ]);
});

it("applies the changes of the form to the current settings", () => {
  const mine = settings({ access_type: "public", variables: [plain("NEW", "1"), plain("REGION", "eu-west")] });
  const now = settings({ description: "Now", variables: [plain("REGION", "now"), KEY, plain("THEIRS", "2")] });
  expect(onTop(settings(), mine, now)).toEqual(
    settings({
      description: "Now",
      access_type: "public",
      variables: [plain("REGION", "now"), plain("THEIRS", "2"), plain("NEW", "1")],
    }),
  );
});

it("takes one field of others", () => {
  const others = settings({ hostname: "theirs.example.com", variables: [plain("REGION", "theirs")] });
  expect(taken(settings(), others, "hostname").hostname).toBe("theirs.example.com");
  expect(taken(settings(), others, "variables.REGION").variables).toEqual([plain("REGION", "theirs"), KEY]);
  expect(taken(settings(), others, "variables.API_KEY").variables).toEqual([plain("REGION", "eu-west")]);
});

it("is a patch for kubectl of what changed alone", () => {
  expect(patchOf(settings(), settings({ hostname: "" }))).toEqual({ spec: { hostname: null } });
  expect(patchOf(settings(), settings({ variables: [KEY, plain("A", "1")] }))).toEqual({
    spec: {
      variables: [
        { name: "API_KEY", secret: { name: "openai", key: "api-key" } },
        { name: "A", value: "1" },
      ],
    },
  });
  const ingress = { ...NO_EXPOSURE, type: "Ingress" as const, class: "nginx" };
  expect(
    patchOf(settings({ exposure: ingress }), settings({ exposure: { ...NO_EXPOSURE, type: "ClusterIP" } })),
  ).toEqual({
    spec: { exposure: { type: "ClusterIP", className: null } },
  });
  const gateway = { ...NO_EXPOSURE, type: "Gateway" as const, gateway: "infra/public", gateway_section: "https" };
  expect(patchOf(settings(), settings({ exposure: gateway }))).toEqual({
    spec: { exposure: { type: "Gateway", parentRef: { namespace: "infra", name: "public", sectionName: "https" } } },
  });
  expect(patchOf(settings({ exposure: gateway }), settings())).toEqual({ spec: { exposure: null } });
  expect(patchOf(settings({ exposure: gateway }), settings({ exposure: { ...gateway, gateway: "own" } }))).toEqual({
    spec: { exposure: { type: "Gateway", parentRef: { name: "own", namespace: null, sectionName: "https" } } },
  });
});

it("shows how an App is reached", () => {
  expect(exposureInWords(NO_EXPOSURE)).toBe("The operator's default");
  const ingress = { ...NO_EXPOSURE, type: "Ingress" as const, class: "nginx", annotations: { a: "1" } };
  expect(exposureInWords(ingress)).toBe("Ingress, class nginx, 1 annotation");
  expect(
    differences(settings({ exposure: ingress }), settings({ exposure: { ...ingress, annotations: { a: "2" } } })),
  ).toHaveLength(1);
});
