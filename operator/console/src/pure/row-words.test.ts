import { describe, expect, it } from "vitest";
import {
  asksBack,
  canComeBack,
  configOf,
  failureOf,
  isPinnedByDigest,
  likeLive,
  numberOf,
  provenanceOf,
  statusOf,
  titleOf,
} from "./row-words.ts";

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

describe("statusOf", () => {
  it("shows the ending that the status lacks", () => {
    expect(statusOf({ status: "Failed", ending: "Rejected" })).toBe("Rejected");
    expect(statusOf({ status: "Superseded", ending: null })).toBe("Superseded");
  });
});

describe("failureOf", () => {
  const tried = (sequence: number, parts: object) => ({
    ...{ ...ROW, ending: null, workflow_version_id: "v3", name: `support-${sequence}`, sequence },
    ...{ runtime: { id: null, label: null, version: "1.4.0" }, ...parts },
  });
  const FAILED = tried(7, { status: "Failed" });
  const REVERTED = tried(8, { ending: "Reverted" });
  it.each([
    ["one that failed", [FAILED], "failed on 1.4.0 (#7)"],
    ["one that was reverted after it had served", [REVERTED, tried(6, {})], "reverted on 1.4.0 (#8)"],
    ["one that serves since", [tried(9, { status: "Live", is_live: true }), REVERTED, FAILED], ""],
    ["one of which another configuration failed", [FAILED, tried(6, {})], ""],
    ["one that was rejected before it ran", [tried(7, { status: "Failed", ending: "Rejected" })], ""],
    ["another version", [tried(7, { status: "Failed", workflow_version_id: "v2" })], ""],
    ["another runtime", [tried(7, { status: "Failed", runtime: { id: null, label: null, version: "1.3.0" } })], ""],
    ["one that was never deployed", [], ""],
  ])("of %s", (_, rows, says) => {
    expect(failureOf(rows, "v3", "1.4.0")).toBe(says);
  });
});

describe("asksBack", () => {
  const told = { ok: true, reasons: [], waits: [], notes: [], warm: null };
  it("asks of a row that can come back, and not again because of an event that tells of it", () => {
    expect(asksBack(undefined, false)).toBe(true);
    expect(asksBack({ ...ROW, deployable: null }, true)).toBe(true);
    expect(asksBack({ ...ROW, deployable: told }, true)).toBe(false);
    expect(asksBack({ ...ROW, deployable: told }, false)).toBe(true);
    expect(asksBack({ ...ROW, status: "Pending", deployable: null }, false)).toBe(false);
  });
});

describe("likeLive", () => {
  const config = (resources: object | null = null, max = 2) => ({
    deployment_type: "server_based" as const,
    config: {
      autoscaling: { min_replicas: 1, max_replicas: max, target_cpu_utilization_percentage: 80 },
      resources,
    },
  });
  const like = {
    ...ROW,
    workflow_version: { id: null, version: "v2", description: null },
    runtime: { id: null, version: "0.2.0", label: null },
    deployment_config: config(),
  };
  const app = { live: { version: "v2" }, runtime: { version: "0.2.0" }, deployment_config: config() };

  it("calls the same what has version, runtime, scaling and resources of what is live", () => {
    expect(likeLive(like, app)).toBe("same as live");
    const sized = config({ limits: { memory: "1Gi" } });
    expect(likeLive({ ...like, deployment_config: sized }, { ...app, deployment_config: sized })).toBe("same as live");
  });

  it.each([
    ["scaling", { deployment_config: config(null, 4) }],
    ["resources", { deployment_config: config({ requests: { cpu: "1" } }) }],
    ["type", { deployment_config: { deployment_type: "serverless" as const, config: {} } }],
    ["runtime", { runtime: { id: null, version: "0.1.0", label: null } }],
  ])("says of one with another %s that its version is the same", (_what, other) => {
    expect(likeLive({ ...like, ...other }, app)).toBe("same version as live");
  });

  it("is nothing for another version, and for the live row itself", () => {
    expect(likeLive({ ...like, is_live: true }, app)).toBe("");
    expect(likeLive(like, { ...app, live: { version: "v1" } })).toBe("");
    expect(likeLive(like, { ...app, live: null, runtime: null })).toBe("");
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
