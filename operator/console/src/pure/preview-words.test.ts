import { describe, expect, it } from "vitest";
import { consequencesOf, differs, type Pair, type Preview, pairsOf, type Side, summaryOf } from "./preview-words.ts";

const LIVE: Side = {
  row: "support-a",
  sequence: 12,
  version: "v2",
  flow_hash: "sha256:1",
  runtime: "1.4.0",
  runtime_name: "runtime-1.4.0",
  image: "image",
  config: { deployment_type: "server_based", config: { autoscaling: { min_replicas: 1, max_replicas: 2 } } },
  resources: { requests: { cpu: "100m", memory: "256Mi" } },
  restores: null,
};
const TO: Side = { ...LIVE, row: null, sequence: null, version: "v3" };

function previewed(more: Partial<Preview> = {}): Preview {
  return {
    from: LIVE,
    to: TO,
    flow_diff: "",
    pods_restart: true,
    no_op: false,
    strategy: "Rolling",
    pods_warm: null,
    pods_to_start: null,
    asleep: false,
    under_way: null,
    open_run_notes: [],
    callers: null,
    warnings: [],
    guards: [],
    begins_hold: false,
    bypass_reason: null,
    ...more,
  };
}

const says = (more: Partial<Preview>) => consequencesOf(previewed(more)).map((each) => each.says);

it("tells what has begun, in the API's words", () => {
  const note = "2 questions wait for a person, one for 3 days; this needs no pod";
  expect(says({ open_run_notes: [note] })).toContain(note);
});

describe("the rules for deploys", () => {
  it("are shown with their own messages, and with a bypass", () => {
    const guards = [{ message: "somebody else would have to approve it (policy production)" }];
    expect(says({ guards })).toContain("It would wait: somebody else would have to approve it (policy production)");
    expect(says({ begins_hold: true })).toContain("Changes from Git are on hold after it, until somebody resumes them");
    expect(says({ bypass_reason: "it loses invoices" })).toContain("It bypasses the guards: it loses invoices");
    expect(consequencesOf(previewed({ guards })).at(-1)?.kind).toBe("attention");
  });
});

describe("from what to what", () => {
  it("shows every part that an App runs by", () => {
    expect(pairsOf(previewed())).toContainEqual({ label: "Version", from: "v2 (#12)", to: "v3" });
    expect(pairsOf(previewed())).toContainEqual({
      label: "Resources",
      from: "100m CPU and 256Mi memory",
      to: "100m CPU and 256Mi memory",
    });
  });

  it("distinguishes two runtimes of one version", () => {
    const pairs = pairsOf(previewed({ to: { ...TO, runtime_name: "other" } }));
    expect(pairs.find((pair) => pair.label === "Runtime")).toMatchObject({
      from: "1.4.0 (runtime-1.4.0, image)",
      to: "1.4.0 (other, image)",
    });
  });

  it("takes no number for a change", () => {
    const version = pairsOf(previewed({ to: { ...TO, version: "v2" } })).find(
      (pair) => pair.label === "Version",
    ) as Pair;
    expect(differs(version)).toBe(false);
    expect(pairsOf(previewed()).filter(differs)).toHaveLength(1);
  });
});

describe("what happens", () => {
  it("shows if pods restart", () => {
    expect(says({})).toEqual(["Pods restart: they are replaced one by one, and requests are still answered"]);
    expect(says({ pods_restart: false })).toEqual(["No pod restarts"]);
    expect(says({ from: null })).toEqual(["Pods will start"]);
  });

  it("shows the standby and the starting pods of a switch", () => {
    const warm = { strategy: "Switch", pods_restart: false, pods_warm: 2, pods_to_start: 0 };
    expect(says(warm)).toEqual(["Standby: 2 pods ready, no pod starts; calls move to them at once"]);
    expect(says({ strategy: "Switch", pods_warm: 0, pods_to_start: 1 })).toEqual([
      "1 pod starts beside those that serve; when all are ready, calls move to them at once",
    ]);
    expect(says({ strategy: "Switch", pods_warm: 1, pods_to_start: 2 })[0]).toContain(
      "1 pod ready, 2 pods start beside them",
    );
    expect(says({ strategy: "Switch", pods_restart: false })).toEqual(["No pod restarts"]);
  });

  it("shows when nothing changes, and which row would be overtaken", () => {
    const said = says({ no_op: true, under_way: "v4 (#13, support-b)" });
    expect(said[0]).toBe("v4 (#13, support-b) is being deployed and would be overtaken");
    expect(said[1]).toBe("Nothing else changes: that row deploys exactly this");
    expect(says({ no_op: true, under_way: null })[0]).toContain("Nothing changes");
  });

  it("shows when an App will sleep, no longer sleeps, or is woken", () => {
    const serverless: Side = { ...TO, config: { deployment_type: "serverless", config: {} } };
    expect(says({ to: serverless })[1]).toContain("sleeps while nobody calls");
    expect(says({ from: serverless })[1]).toBe("The App no longer sleeps");
    expect(says({ asleep: true })[1]).toBe("The App is asleep, and wakes for this");
  });

  it("is one sentence for screen readers", () => {
    expect(summaryOf(previewed({ warnings: ["Git deploys this App, too"] }))).toMatch(
      /^From v2 to v3\. Pods restart.*Git deploys this App, too$/,
    );
  });
});
