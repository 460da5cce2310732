import { expect, test } from "vitest";
import { appPlace } from "./place.ts";

test.each([
  ["", { screen: "overview", tab: "overview" }],
  ["/", { screen: "overview", tab: "overview" }],
  ["/history", { screen: "history", tab: "history" }],
  ["/history/r1", { screen: "history", tab: "history", dialog: "row", rowId: "r1" }],
  ["/history/r1/roll-back", { screen: "history", tab: "history", dialog: "roll-back", rowId: "r1" }],
  ["/history/r1/review", { screen: "history", tab: "history", dialog: "review", rowId: "r1" }],
  ["/compare", { screen: "compare", tab: "history" }],
  ["/rollouts/r1", { screen: "rollout", tab: "history", rowId: "r1" }],
  ["/runs", { screen: "runs", tab: "runs" }],
  ["/runs/u1", { screen: "runs", tab: "runs", dialog: "run", runId: "u1" }],
  ["/sessions", { screen: "sessions", tab: "sessions" }],
  ["/monitoring", { screen: "monitoring", tab: "monitoring" }],
  ["/configuration", { screen: "configuration", tab: "configuration" }],
  ["/triggers", { screen: "triggers", tab: "triggers" }],
  ["/deploy", { screen: "overview", tab: "overview", dialog: "deploy" }],
  ["/promote", { screen: "overview", tab: "overview", dialog: "promote" }],
])("%s is the address of its screen", (rest, place) => {
  expect(appPlace(rest)).toEqual(place);
});

test.each([
  "/rollouts",
  "/other",
  "/history/r1/else",
  "/history/r1/roll-back/x",
  "/deploy/x",
  "/triggers/x",
  "/sessions/x",
  "/runs/u1/x",
  "/monitoring/x",
])("%s is no screen", (rest) => {
  expect(appPlace(rest).screen).toBe("unknown");
});
