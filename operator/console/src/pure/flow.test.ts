import { expect, it } from "vitest";
import { nodesOf } from "./flow.ts";

it("reads the nodes of the API's form", () => {
  const nodes = nodesOf({
    nodes: [
      { id: "in", name: "Input", type: "dynamiq.nodes.utils.Input", depends: [] },
      { id: "answer", name: "Answer", type: "dynamiq.nodes.tools.Python", depends: [{ node: "in" }, { node: "gone" }] },
    ],
  });
  expect(nodes).toEqual([
    { id: "in", name: "Input", type: "dynamiq.nodes.utils.Input", kind: "Input", after: [] },
    { id: "answer", name: "Answer", type: "dynamiq.nodes.tools.Python", kind: "Python", after: ["Input", "gone"] },
  ]);
});

it("reads the nodes of the SDK's form, where they stand by their ids", () => {
  const nodes = nodesOf({
    nodes: {
      ask: { type: "dynamiq.nodes.llms.OpenAI", name: "Ask" },
      out: { type: "dynamiq.nodes.utils.Output", depends: [{ node: "ask" }] },
    },
    flows: {},
  });
  expect(nodes.map(({ id, name, kind, after }) => [id, name, kind, after])).toEqual([
    ["ask", "Ask", "OpenAI", []],
    ["out", "out", "Output", ["Ask"]],
  ]);
});

it.each([[null], [undefined], ["nodes"], [{}], [{ nodes: 3 }], [{ nodes: [1, null] }]])("has none in %j", (flow) => {
  expect(nodesOf(flow)).toEqual([]);
});
