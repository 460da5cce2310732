import { describe, expect, it } from "vitest";
import { compareRows } from "./compare-rows.ts";
import type { WholeRow } from "./shapes.ts";

const ROW = {
  name: "support-a",
  sequence: 1,
  status: "Superseded",
  reason: null,
  created_at: "2026-11-24T22:22:45Z",
  created_by: { id: "1", email: null, username: "anna" },
  message: null,
  provenance: null,
  workflow_version: { id: null, version: "v1", description: "First" },
  runtime: { id: null, version: "1.4.0", label: null },
  deployment_config: {
    deployment_type: "server_based",
    config: { autoscaling: { min_replicas: 1, max_replicas: 2, target_cpu_utilization_percentage: 80 } },
  },
  pinned: { workflowHash: "sha256:aa", runtime: { name: "runtime-1.4.0", version: "1.4.0", image: "image:1" } },
} as unknown as WholeRow;

const differing = (from: WholeRow, to: WholeRow) =>
  compareRows(from, to)
    .filter((field) => field.differs)
    .map((field) => [field.label, field.from, field.to]);

describe("compareRows", () => {
  it("marks nothing between a row and one like it", () => {
    expect(differing(ROW, { ...ROW })).toEqual([]);
  });

  it("marks what differs, however it is run", () => {
    const serverless = { deployment_type: "serverless", config: { idle_seconds: 300, max_replicas: 2 } };
    expect(differing(ROW, { ...ROW, deployment_config: serverless } as WholeRow)).toEqual([
      ["Type", "Server-based", "Serverless"],
      ["Min replicas", "1", ""],
      ["Target CPU (%)", "80", ""],
      ["Asleep after (s)", "", "300"],
    ]);
    const more = {
      ...ROW.deployment_config,
      config: { ...ROW.deployment_config.config, resources: { limits: { cpu: "1" } } },
    };
    expect(differing(ROW, { ...ROW, deployment_config: more } as WholeRow)).toEqual([["CPU limit", "", "1"]]);
  });

  it("compares a row that was never rolled out as far as it has fields", () => {
    const failed = { ...ROW, status: "Failed", reason: "no such version", pinned: null } as WholeRow;
    expect(differing(ROW, failed)).toEqual([
      ["Flow", "sha256:aa", ""],
      ["Runtime resource", "runtime-1.4.0", ""],
      ["Image", "image:1", ""],
      ["Status", "Superseded", "Failed"],
      ["Reason", "", "no such version"],
    ]);
  });
});
