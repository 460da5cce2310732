import { describe, expect, it } from "vitest";
import openapi from "../../openapi.json?raw";
import { amount, type Config, configToSend, configWrong, filled, NUMBERS, typeOf, wholeConfig } from "./config.ts";

const SERVER: Config = {
  deployment_type: "server_based",
  config: {
    autoscaling: { min_replicas: 2, max_replicas: 6, target_cpu_utilization_percentage: 70 },
    resources: { requests: { cpu: "100m", memory: "256Mi" } },
  },
};
const SERVERLESS: Config = { deployment_type: "serverless", config: { idle_seconds: 600 } };

describe("the form of a config", () => {
  it("is prefilled from what is live, with the defaults of what that leaves out", () => {
    expect(filled({}, SERVER)).toMatchObject({
      type: "server_based",
      min: "2",
      max: "6",
      cpu: "70",
      requestsCpu: "100m",
    });
    expect(filled({}, SERVERLESS)).toMatchObject({ type: "serverless", idle: "600", most: "10", hold: "120" });
  });

  it("begins as serverless where nothing is live, as the product does", () => {
    expect(typeOf({}, undefined)).toBe("serverless");
    expect(filled({}, undefined)).toMatchObject({ idle: "300", min: "1", max: "2", cpu: "80" });
  });

  it("has the other type's defaults where the type changes, and keeps the compute", () => {
    expect(filled({ type: "serverless" }, SERVER)).toMatchObject({ idle: "300", requestsMemory: "256Mi" });
    expect(filled({ type: "server_based" }, SERVERLESS)).toMatchObject({ min: "1", max: "2" });
  });
});

describe("what is sent of a config", () => {
  it("is nothing where it is left untouched, so that what is live stays", () => {
    expect(configToSend({}, SERVER)).toBeUndefined();
    expect(configToSend({}, SERVERLESS)).toBeUndefined();
  });

  it("is nothing where a field was changed and changed back, or emptied", () => {
    expect(configToSend({ min: "02", max: "", requestsCpu: "100m" }, SERVER)).toBeUndefined();
  });

  it("is what differs, and no more", () => {
    expect(configToSend({ max: "9" }, SERVER)).toEqual({
      deployment_type: "server_based",
      config: { autoscaling: { max_replicas: 9 } },
    });
    expect(configToSend({ limitsMemory: "1Gi" }, SERVERLESS)).toEqual({
      deployment_type: "serverless",
      config: { resources: { limits: { memory: "1Gi" } } },
    });
  });

  it("is of the chosen type alone, whatever was typed for the other one before", () => {
    expect(configToSend({ max: "9", type: "serverless", hold: "30" }, SERVER)).toEqual({
      deployment_type: "serverless",
      config: { hold_seconds: 30 },
    });
  });

  it("names the type of a first deployment", () => {
    expect(configToSend({}, undefined)).toEqual({ deployment_type: "serverless", config: {} });
    expect(configToSend({ type: "server_based", min: "2" }, undefined)).toEqual({
      deployment_type: "server_based",
      config: { autoscaling: { min_replicas: 2 } },
    });
  });
});

describe("a whole config", () => {
  it("leaves nothing to be kept", () => {
    expect(wholeConfig({}, { deployment_type: "serverless", config: {} })).toEqual({
      deployment_type: "serverless",
      config: { idle_seconds: 300, max_replicas: 10, hold_seconds: 120 },
    });
    expect(wholeConfig({ max: "9", limitsCpu: "2" }, SERVER)).toEqual({
      deployment_type: "server_based",
      config: {
        autoscaling: { min_replicas: 2, max_replicas: 9, target_cpu_utilization_percentage: 70 },
        resources: { requests: { cpu: "100m", memory: "256Mi" }, limits: { cpu: "2" } },
      },
    });
  });
});

describe("what is wrong with a config", () => {
  it("is nothing of what is live", () => {
    expect(configWrong({}, SERVER)).toEqual({});
    expect(configWrong({}, SERVERLESS)).toEqual({});
  });

  it("belongs to the changed field", () => {
    expect(configWrong({ min: "7" }, SERVER)).toEqual({ [NUMBERS.min.path]: "Min replicas is at most Max replicas" });
    expect(configWrong({ max: "1" }, SERVER)).toEqual({ [NUMBERS.max.path]: "Min replicas is at most Max replicas" });
  });

  it("counts what is kept for an emptied field", () => {
    expect(configWrong({ min: "6", max: "" }, SERVER)).toEqual({});
    expect(Object.keys(configWrong({ min: "7", max: "" }, SERVER))).toEqual([NUMBERS.min.path]);
  });

  it.each(["0", "1001", "1.5", "-1", "1e2", "two"])("a number of pods is not %s", (text) => {
    expect(configWrong({ max: text }, SERVER)[NUMBERS.max.path]).toBe("A whole number from 1 to 1,000");
  });

  it("an amount is one that Kubernetes reads, and a request is at most its limit", () => {
    expect(configWrong({ requestsCpu: "a lot" }, SERVER)).toEqual({
      "deployment_config.config.resources.requests.cpu": "An amount such as 100m or 2",
    });
    expect(configWrong({ limitsMemory: "128Mi" }, SERVER)).toEqual({
      "deployment_config.config.resources.limits.memory": "The request is at most the limit",
    });
    expect(configWrong({ limitsCpu: "0.1" }, SERVER)).toEqual({});
  });

  it("has the API's bounds", () => {
    const schemas = JSON.parse(openapi).components.schemas;
    for (const { path, least, most } of Object.values(NUMBERS)) {
      const parts = path.split(".").slice(2);
      const schema = schemas[parts.length === 2 ? "Autoscaling" : "TypeConfig"];
      const [bounds] = schema.properties[parts.at(-1) as string].anyOf;
      expect([path, bounds.minimum, bounds.maximum]).toEqual([path, least, most]);
    }
  });
});

describe("amount", () => {
  it("reads what Kubernetes writes", () => {
    expect(amount("100m")).toBe(0.1);
    expect(amount("1Gi")).toBe(2 ** 30);
    expect(amount("much")).toBeUndefined();
  });
});
