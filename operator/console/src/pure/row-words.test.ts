import { describe, expect, it } from "vitest";
import { canComeBack, configOf, isLikeLive, isPinnedByDigest, numberOf, provenanceOf, titleOf } from "./row-words.ts";

const ROW = { status: "Superseded" as const, reason: null, is_live: false };

describe("canComeBack", () => {
  it("takes a row that was live, and no other", () => {
    expect(canComeBack(ROW)).toBe(true);
    expect(canComeBack({ ...ROW, reason: "overtaken by #4" })).toBe(false);
    expect(canComeBack({ ...ROW, status: "Live", is_live: true })).toBe(false);
    for (const status of ["Failed", "Pending", "Progressing"] as const)
      expect(canComeBack({ ...ROW, status })).toBe(false);
  });
});

describe("isLikeLive", () => {
  const like = {
    ...ROW,
    workflow_version: { id: null, version: "v2", description: null },
    runtime: { id: null, version: "0.2.0", label: null },
  };
  const app = { live: { version: "v2" }, runtime: { version: "0.2.0" } };

  it("takes another row of the version and the runtime that are live", () => {
    expect(isLikeLive(like, app)).toBe(true);
    expect(isLikeLive({ ...like, is_live: true }, app)).toBe(false);
    expect(isLikeLive(like, { ...app, live: { version: "v1" } })).toBe(false);
    expect(isLikeLive(like, { ...app, runtime: { version: "0.1.0" } })).toBe(false);
    expect(isLikeLive(like, { live: null, runtime: null })).toBe(false);
  });
});

describe("words", () => {
  it("name a row by version and sequence, as far as it has them", () => {
    const version = { id: null, version: "v3", description: null };
    expect(titleOf({ sequence: 12, name: "support-x8cc4", workflow_version: version })).toBe("v3 (#12)");
    expect(titleOf({ sequence: null, name: "support-x8cc4", workflow_version: null })).toBe("support-x8cc4");
    expect(numberOf({ sequence: 1, name: "a" })).toBe("#1");
  });

  it("tell how it is run", () => {
    const autoscaling = { min_replicas: 1, max_replicas: 4, target_cpu_utilization_percentage: 80 };
    expect(configOf({ deployment_type: "server_based", config: { autoscaling } })).toBe(
      "Server-based, 1 to 4 pods at 80 % CPU",
    );
    expect(configOf({ deployment_type: "serverless", config: {} })).toBe(
      "Serverless, 0 to 10 pods, asleep after 300 s, a call waits 120 s",
    );
  });

  it("begin as a sentence does", () => {
    expect(provenanceOf({ provenance: "restores #3" })).toBe("Restores #3");
    expect(provenanceOf({ provenance: null })).toBe("");
  });

  it("know an image that is named by what is in it", () => {
    expect(isPinnedByDigest(`registry.example/runtime@sha256:${"a".repeat(64)}`)).toBe(true);
    expect(isPinnedByDigest("registry.example/runtime:1.4.0")).toBe(false);
  });
});
