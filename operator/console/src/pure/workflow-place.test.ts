import { expect, it } from "vitest";
import { workflowPlace } from "./workflow-place.ts";

it.each([
  ["", { screen: "workflow", isDeploying: false }],
  ["/deploy", { screen: "workflow", isDeploying: true }],
  ["/versions/v1", { screen: "version", versionId: "v1", isDeploying: false }],
])("%s is the address of its screen", (rest, place) => {
  expect(workflowPlace(rest)).toEqual(place);
});

it.each(["/versions", "/versions/v1/x", "/deploy/x", "/other"])("%s is no screen", (rest) => {
  expect(workflowPlace(rest).screen).toBe("unknown");
});
