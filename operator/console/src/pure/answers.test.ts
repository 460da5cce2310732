import { describe, expect, it } from "vitest";
import { changesOf, confirmedOf, fieldsWrong, isUncertain } from "./answers.ts";

const FREE = { guards: [], begins_hold: false };

const CHANGED = {
  status: 409,
  message: "nothing was done",
  details: {
    version: { confirmed: "v2", now: "v3" },
    config: {
      confirmed: { deployment_type: "serverless", config: {} },
      now: { deployment_type: "server_based", config: { autoscaling: { min_replicas: 1, max_replicas: 1 } } },
    },
    restores: { confirmed: null, now: "support-x" },
  },
};

describe("what has changed since the preview", () => {
  it("is shown by field, in words", () => {
    expect(changesOf(CHANGED)).toEqual([
      { field: "Version", confirmed: "v2", now: "v3" },
      {
        field: "Configuration",
        confirmed: "serverless, 0 to 10 pods, asleep after 300 s, a call waits 120 s",
        now: "server-based, 1 pod at 80 % CPU",
      },
      { field: "Brings back", confirmed: "nothing", now: "support-x" },
    ]);
  });

  it("is the live row and the row that is being deployed", () => {
    const details = {
      "from.row": { confirmed: "support-a", now: "support-b" },
      "from.sequence": { confirmed: 3, now: 4 },
      "from.version": { confirmed: "v5", now: "v6" },
      under_way: { confirmed: null, now: "v7 (#5, support-c)" },
    };
    expect(changesOf({ ...CHANGED, details })).toEqual([
      { field: "Live deployment", confirmed: "#3", now: "#4" },
      { field: "Live version", confirmed: "v5", now: "v6" },
      { field: "Being deployed", confirmed: "nothing", now: "v7 (#5, support-c)" },
    ]);
    const first = { from: { confirmed: null, now: { row: "support-a", sequence: 1, version: "v5" } } };
    expect(changesOf({ ...CHANGED, details: first })).toEqual([
      { field: "Live", confirmed: "nothing", now: "v5 (#1)" },
    ]);
  });

  it("is its guards, and whether Git waits after it", () => {
    const guard = { reason: "Frozen", message: "nothing is deployed before Monday" };
    const details = { guards: { confirmed: [], now: [guard] }, begins_hold: { confirmed: true, now: false } };
    expect(changesOf({ ...CHANGED, details })).toEqual([
      { field: "What holds it", confirmed: "nothing", now: "nothing is deployed before Monday" },
      { field: "Git waits after it", confirmed: "yes", now: "no" },
    ]);
  });

  it("is nothing where a name is taken, or the error is another one", () => {
    expect(changesOf({ status: 409, message: "", details: { name: "taken" } })).toEqual([]);
    expect(changesOf({ ...CHANGED, status: 422 })).toEqual([]);
  });
});

it("is confirmed with its start and its guards", () => {
  const side = { row: "support-a", sequence: 3, version: "v5", image: "an image" };
  expect(confirmedOf({ from: side, to: { version: "v7" }, under_way: null, ...FREE })).toEqual({
    version: "v7",
    from: { row: "support-a", sequence: 3, version: "v5" },
    under_way: null,
    ...FREE,
  });
  expect(confirmedOf({ from: null, to: {}, under_way: "v6", ...FREE })).toEqual({
    from: null,
    under_way: "v6",
    ...FREE,
  });
});

describe("what is wrong with a field", () => {
  it("stands at that field", () => {
    const wrong = { status: 422, message: "hostname: not a DNS name", details: { hostname: "not a DNS name" } };
    expect(fieldsWrong(wrong, ["hostname"])).toEqual({ fields: { hostname: "Not a DNS name" }, rest: "" });
  });

  it("is the whole sentence if its detail is a single word", () => {
    const taken = { status: 409, message: "the project has an App named support already", details: { name: "taken" } };
    expect(fieldsWrong(taken, ["name"]).fields).toEqual({ name: "the project has an App named support already" });
  });

  it("belongs to the form if the form has no such field", () => {
    const wrong = { status: 422, message: "restores: it never went live", details: { restores: "it never went live" } };
    expect(fieldsWrong(wrong, ["message"])).toEqual({ fields: {}, rest: "restores: it never went live" });
  });

  it("is shown at the parent of the field", () => {
    const wrong = { status: 422, message: "", details: { "deployment_config.config.x.y": "no such field" } };
    expect(fieldsWrong(wrong, ["deployment_config"]).fields).toEqual({ deployment_config: "No such field" });
  });

  it("is not looked for in what forbids", () => {
    expect(fieldsWrong({ status: 403, message: "you may not", details: {} }, ["name"]).rest).toBe("you may not");
  });
});

it.each([0, 502, 503, 504])("after %s it is not known whether it was done", (status) => {
  expect(isUncertain({ status, message: "", details: {} })).toBe(true);
});

it.each([401, 403, 409, 422, 429, 500])("after %s nothing was done", (status) => {
  expect(isUncertain({ status, message: "", details: {} })).toBe(false);
});
