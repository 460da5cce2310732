import { expect, test } from "vitest";
import { askedOf, counted, queryOf, searched, sorted } from "./app-list.ts";
import type { AppOfList } from "./shapes.ts";

function anApp(name: string, more: Partial<AppOfList> = {}): AppOfList {
  return {
    id: name,
    name,
    resource_name: name.toLowerCase(),
    namespace: "demo",
    environment: null,
    description: null,
    hostname: "",
    status: { word: "Live", reason: null, message: null },
    live: null,
    under_way: null,
    latest_deployment_id: null,
    workflow: { id: "w", name: "flow", description: null },
    ...more,
  } as AppOfList;
}
const live = (version: string, created_at: string) =>
  ({ live: { deployment_id: "d", name: "n", sequence: 1, version, created_at } }) satisfies Partial<AppOfList>;
const names = (apps: AppOfList[]) => apps.map((app) => app.name);

test("the address has the filters again", () => {
  const asked = { q: "invoice v3", status: "Failed", sort: "name", isDescending: false } as const;
  expect(queryOf(asked, "p1")).toBe("?project=p1&q=invoice+v3&status=Failed&sort=name");
  expect(askedOf(Object.fromEntries(new URLSearchParams(queryOf(asked, "p1"))))).toEqual(asked);
});

test("defaults are not in the address, and invalid parameters of an address are left out", () => {
  expect(queryOf(askedOf({}), "")).toBe("");
  expect(askedOf({ status: "<b>", sort: "-nothing" })).toEqual(askedOf({}));
});

test("a search needs each of its words, anywhere and in any case", () => {
  const apps = [anApp("Invoice reader", live("v3", "2026-01-01T00:00:00Z")), anApp("Invoice writer"), anApp("Other")];
  expect(names(searched(apps, "  INVOICE v3 "))).toEqual(["Invoice reader"]);
  expect(searched(apps, "")).toBe(apps);
});

test("versions and names are in the order of their numbers", () => {
  const apps = ["v10", "v9", "v2"].map((version) => anApp(version, live(version, "2026-01-01T00:00:00Z")));
  expect(names(sorted(apps, "version", false))).toEqual(["v2", "v9", "v10"]);
  expect(names(sorted(apps, "version", true))).toEqual(["v10", "v9", "v2"]);
});

test("the order of deploys is that of the times that the column shows, and last comes what was never deployed", () => {
  const apps = [
    anApp("never"),
    anApp("old", live("v1", "2026-01-01T00:00:00Z")),
    anApp("new", live("v1", "2026-03-01T00:00:00Z")),
    anApp("half a second later", live("v1", "2026-03-01T00:00:00.5Z")),
    anApp("just before", live("v1", "2026-03-01T00:00:00.450000Z")),
    anApp("on its way", {
      ...live("v1", "2026-02-01T00:00:00Z"),
      under_way: { deployment_id: "d", name: "n", sequence: 2, version: "v2", status: "Pending" },
    }),
  ];
  expect(names(sorted(apps, "deployed", true))).toEqual([
    "half a second later",
    "just before",
    "new",
    "on its way",
    "old",
    "never",
  ]);
  expect(names(sorted(apps, "deployed", false)).at(-1)).toBe("never");
});

test("by status, what needs a look comes first", () => {
  const apps = (["Live", "Failed", "NotDeployed", "Degraded"] as const).map((word) =>
    anApp(word, { status: { word, reason: null, message: null } }),
  );
  expect(names(sorted(apps, "status", false))).toEqual(["Failed", "Degraded", "Live", "NotDeployed"]);
  expect(counted(apps)).toEqual([
    ["Failed", 1],
    ["Degraded", 1],
    ["Live", 1],
    ["NotDeployed", 1],
  ]);
});
