import { expect, test } from "vitest";
import { nameOf, offered, onlyOne } from "./projects.ts";
import type { Project } from "./shapes.ts";

const a = (name: string, environment: string | null = null): Project => ({ id: name, name, org_id: "c", environment });
const PROJECTS = [a("default"), a("kube-system"), a("team-10"), a("team-2"), a("support", "production")];
const names = (projects: Project[]) => projects.map(({ name }) => name);

test("projects with an environment come first, and the namespaces of Kubernetes are not offered", () => {
  expect(names(offered(PROJECTS, ""))).toEqual(["support", "default", "team-2", "team-10"]);
});

test("the project that an address asks for is in the menu, whichever it is", () => {
  expect(names(offered(PROJECTS, "kube-system"))).toContain("kube-system");
});

test("whoever sees one project has no choice, unless the address asks for another", () => {
  const [one, ...others] = offered([a("support", "production"), a("kube-system")], "");
  expect([one && nameOf(one), others]).toEqual(["support (production)", []]);
  expect(onlyOne(offered([a("team-2"), a("kube-system")], ""), "")?.name).toBe("team-2");
  expect(onlyOne([a("team-2")], "team-2")?.name).toBe("team-2");
  expect(onlyOne([a("team-2")], "gone")).toBeUndefined();
  expect(onlyOne([a("team-2"), a("team-10")], "")).toBeUndefined();
  expect(onlyOne([], "")).toBeUndefined();
});
