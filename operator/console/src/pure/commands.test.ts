import { describe, expect, it } from "vitest";
import {
  atLine,
  deployLine,
  newAppLines,
  objectName,
  promoteLine,
  reportLine,
  rollBackCall,
  rollBackLine,
  wordLine,
} from "./commands.ts";

const PLACE = { namespace: "demo", app: "support" };

describe("the line of a deploy", () => {
  it("names the version, and nothing that stays as it is live", () => {
    expect(deployLine({ ...PLACE, version: "v3" })).toBe("kubectl dynamiq deploy support -n demo --version v3");
  });

  it("names all that was filled in", () => {
    expect(
      deployLine({
        ...PLACE,
        version: "v3",
        runtime: "tiny-0.1.0",
        config: {
          deployment_type: "server_based",
          config: { autoscaling: { min_replicas: 2, target_cpu_utilization_percentage: 60 } },
        },
        message: "Don't stop",
      }),
    ).toBe(
      "kubectl dynamiq deploy support -n demo --version v3 --runtime tiny-0.1.0 --server-based --min 2 --cpu 60 -m 'Don'\\''t stop'",
    );
  });

  it("has the options of a serverless App", () => {
    const config = { deployment_type: "serverless", config: { idle_seconds: 600, max_replicas: 4, hold_seconds: 30 } };
    expect(deployLine({ ...PLACE, version: "v3", config })).toBe(
      "kubectl dynamiq deploy support -n demo --version v3 --serverless --max 4 --idle-seconds 600 --hold-seconds 30",
    );
  });

  it("holds a message that begins with a dash", () => {
    expect(deployLine({ ...PLACE, version: "v3", message: "-y" })).toMatch(/ --message='-y'$/);
  });

  it("makes the row itself where compute is given, for which the plugin has no option", () => {
    const config = {
      deployment_type: "server_based",
      config: { autoscaling: { max_replicas: 9 }, resources: { limits: { memory: "1Gi" } } },
    };
    const [first, ...rest] = deployLine({ ...PLACE, version: "v3", config, message: "More" }).split("\n");
    expect(first).toBe("kubectl create -f - <<'EOF'");
    expect(rest.pop()).toBe("EOF");
    expect(JSON.parse(rest.join("\n"))).toEqual({
      apiVersion: "dynamiq.getdynamiq.ai/v1alpha1",
      kind: "Deployment",
      metadata: { namespace: "demo", generateName: "support-" },
      spec: {
        app: "support",
        workflowVersion: "v3",
        config: { type: "server", autoscaling: { maxReplicas: 9 }, resources: { limits: { memory: "1Gi" } } },
        message: "More",
      },
    });
  });
});

describe("the lines of a new App", () => {
  it("make the App, and deploy it", () => {
    const lines = newAppLines({
      namespace: "demo",
      name: "Café no. 1",
      description: "",
      workflow: "support",
      access: "private",
      version: "v2",
      config: { deployment_type: "serverless", config: {} },
    });
    expect(lines).toContain('"displayName": "Café no. 1"');
    expect(lines.split("\n").at(-1)).toBe("kubectl dynamiq deploy cafe-no-1 -n demo --version v2 --serverless");
  });

  it("call the object as the API does", () => {
    expect(objectName("Customer support")).toBe("customer-support");
    expect(objectName("1st try")).toBe("app-1st-try");
    expect(objectName("  ")).toBe("app");
    expect(objectName("x".repeat(60))).toHaveLength(40);
  });
});

describe("the line of a rollback", () => {
  it("names the row, and its scaling if it is restored", () => {
    expect(rollBackLine({ ...PLACE, row: 12, withConfig: false })).toBe(
      "kubectl dynamiq rollback support -n demo --to-row 12",
    );
    expect(rollBackLine({ ...PLACE, row: 12, withConfig: true, message: "v4 is slow" })).toBe(
      "kubectl dynamiq rollback support -n demo --to-row 12 --with-config -m 'v4 is slow'",
    );
    const past = { noHold: true, bypass: "it's down" };
    expect(rollBackLine({ ...PLACE, row: 12, withConfig: false, ...past })).toBe(
      "kubectl dynamiq rollback support -n demo --to-row 12 --no-hold --bypass 'it'\\''s down'",
    );
  });
});

describe("the command of an approval", () => {
  it("names the row, and why", () => {
    expect(wordLine({ ...PLACE, word: "Approve", row: 13 })).toBe("kubectl dynamiq approve support -n demo 13");
    expect(wordLine({ ...PLACE, word: "Reject", row: 13, message: "not now" })).toBe(
      "kubectl dynamiq reject support -n demo 13 -m 'not now'",
    );
  });
});

describe("the line of a promotion", () => {
  it("names where to", () => {
    expect(promoteLine({ ...PLACE, environment: "production" })).toBe(
      "kubectl dynamiq promote support -n demo --to production",
    );
    expect(
      promoteLine({
        ...PLACE,
        environment: "production",
        target: "demo-prod",
        hostname: "a.example.com",
        message: "ok",
      }),
    ).toBe(
      "kubectl dynamiq promote support -n demo --to production --target-namespace demo-prod --hostname a.example.com -m ok",
    );
  });
});

it("asks what was live at a time", () => {
  expect(atLine({ ...PLACE, time: "2026-11-24T18:20:50Z" })).toBe(
    "kubectl dynamiq at support 2026-11-24T18:20:50Z -n demo",
  );
});

describe("the line of a report", () => {
  it("names the time, and where", () => {
    const since = "2026-11-01T00:00:00Z";
    expect(reportLine({ since, format: "csv" })).toBe(`kubectl dynamiq report --since ${since} -A -o csv`);
    expect(reportLine({ since, until: "2026-12-01T00:00:00Z", namespace: "demo", format: "md" })).toBe(
      `kubectl dynamiq report --since ${since} --until 2026-12-01T00:00:00Z -n demo -o md`,
    );
  });
});

it("calls the API with whatever a message has in it", () => {
  const text = rollBackCall({
    origin: "https://dynamiq.example.com",
    app: "a1",
    body: { restores: "r1", message: "it's slow" },
  });
  expect(text).toContain("curl -X POST https://dynamiq.example.com/v1/apps/a1/deploy");
  expect(text).toContain(`-d '{"restores":"r1","message":"it'\\''s slow"}'`);
});
