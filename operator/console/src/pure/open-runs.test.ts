import { describe, expect, it } from "vitest";
import { versionOf, waitOf, waysOn } from "./open-runs.ts";
import type { BackgroundRun, Row } from "./shapes.ts";
import { moment } from "./time.ts";

describe("the version of a run", () => {
  const row = (sequence: number, version: string, hash: string | null) =>
    ({ sequence, workflow_version: { version }, flow_hash: hash }) as Row;
  const run = (workflow_hash: string | null) => ({ workflow_hash }) as BackgroundRun;
  const rows = [row(3, "v2", "sha256:bb"), row(2, "v2", "sha256:bb"), row(1, "v1", "sha256:aa"), row(0, "v0", null)];

  it.each([
    ["sha256:aa", "v1 (#1)"],
    ["aa", "v1 (#1)"],
    ["sha256:bb", "v2"],
    ["sha256:cc", "—"],
    [null, "—"],
  ])("with the flow %s is %s", (hash, says) => expect(versionOf(run(hash), rows)).toBe(says));

  it("is unknown without rows", () => expect(versionOf(run("aa"), undefined)).toBe("—"));
});

describe("a run that does nothing", () => {
  const runs = { state: "running", awaiting_input: false, resume_at: null, hold_reason: null } as const;
  const at = "2026-11-26T18:25:07Z";

  it.each([
    [{}, "", []],
    [{ awaiting_input: true }, "waits for a person", []],
    [{ state: "waiting", awaiting_input: true, resume_at: at }, "waits for a person", []],
    [{ state: "waiting", resume_at: at }, `waits until ${moment(at)}`, []],
    [{ state: "queued", resume_at: at }, "", []],
    [{ state: "held", awaiting_input: true, hold_reason: "Rejected" }, "held: Rejected", ["Restart"]],
    [{ state: "held", hold_reason: "ImageMissing" }, "held: ImageMissing", ["Restart", "Release"]],
  ] as const)("%o says: %s", (parts, says, ways) => {
    expect(waitOf({ ...runs, ...parts })).toBe(says);
    expect(waysOn({ ...runs, ...parts })).toEqual(ways);
  });
});
