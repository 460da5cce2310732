import { describe, expect, it } from "vitest";
import { environmentName, lackingOf, supplyLine, targetOf, targetsOf } from "./promotion.ts";

const at = (environment: string, id: string, isOwn = false) => ({ environment, project_id: id, is_own: isOwn });
const ALL = [at("staging", "own", true), at("qa", "qa"), at("production", "eu"), at("production", "us")];

describe("where an App is promoted to", () => {
  it("is production, where there is one", () => {
    expect(targetOf(targetsOf(ALL), {})).toMatchObject({ project_id: "eu", isOneOfSeveral: true });
    expect(targetOf(targetsOf(ALL.slice(0, 2)), {})).toMatchObject({ project_id: "qa", isOneOfSeveral: false });
  });

  it("is never where the App is already", () => {
    expect(targetsOf(ALL).some((each) => each.is_own)).toBe(false);
    expect(targetsOf(ALL.slice(0, 1))).toEqual([]);
  });

  it("is what was chosen, as long as that is there", () => {
    expect(targetOf(targetsOf(ALL), { environment: "production", projectId: "us" }).project_id).toBe("us");
    expect(targetOf(targetsOf(ALL), { environment: "qa", projectId: "us" }).project_id).toBe("qa");
    expect(targetOf(targetsOf(ALL), { environment: "gone" }).project_id).toBe("eu");
  });
});

it("writes an environment as people do", () => {
  expect(environmentName("production")).toBe("Production");
  expect(environmentName("qa")).toBe("qa");
});

describe("what the target lacks", () => {
  const need = (variable: string, kind: string, name: string, key: string, isThere = false) => ({
    ...{ variable, kind, name, key, is_there: isThere },
    namespace: "prod",
  });

  it("is made by a line for each, with all its keys", () => {
    const found = lackingOf({
      lacking: [
        need("TOKEN", "Secret", "openai", "token"),
        need("ORG", "Secret", "openai", "org"),
        need("AGAIN", "Secret", "openai", "token"),
        need("URL", "ConfigMap", "urls", "url"),
      ],
    });
    expect(found.map(supplyLine)).toEqual([
      "kubectl create secret generic openai -n prod --from-literal=token=VALUE --from-literal=org=VALUE",
      "kubectl create configmap urls -n prod --from-literal=url=VALUE",
    ]);
    expect(found[0]?.variables).toEqual(["TOKEN", "ORG", "AGAIN"]);
  });

  it("is added where only a key is missing", () => {
    expect(lackingOf({ lacking: [need("TOKEN", "Secret", "openai", "token", true)] }).map(supplyLine)).toEqual([
      `kubectl patch secret openai -n prod --type merge -p '{"stringData":{"token":"VALUE"}}'`,
    ]);
  });

  it("is nothing where something else is said", () => {
    expect(lackingOf({ hostname: "give one" })).toEqual([]);
    expect(lackingOf({ lacking: "hostname" })).toEqual([]);
  });
});
