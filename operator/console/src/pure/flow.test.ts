import { expect, it } from "vitest";
import { inputOf, nodesOf } from "./flow.ts";

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

const YAML = `id: words
nodes:
  start:
    type: dynamiq.nodes.utils.Input           # what a caller sends as "input"
  count:
    type: dynamiq.nodes.tools.Python
    depends: [{node: start}]
    input_transformer: {selector: {text: $.start.output.text, tone: "$.tone", rest: $.start}}
  output:
    type: dynamiq.nodes.utils.Output
    input_transformer: {selector: {words: $.count.output.content.words, spoken: $.start.output.text || $.language}}
`;
const LISTED = {
  nodes: [
    { id: "5f3c-1", name: "In", type: "dynamiq.nodes.utils.Input" },
    {
      ...{ id: "ask", type: "dynamiq.nodes.llms.OpenAI" },
      input_transformer: { selector: { q: '$["5f3c-1"].output.question', a: "$['ask'].output.content" } },
    },
  ],
};

it.each([
  ["YAML", YAML, ["text", "tone", "language"]],
  ["JSON in the API's form", JSON.stringify(LISTED), ["question"]],
  ["a flow that reads nothing", "nodes: {in: {type: dynamiq.nodes.utils.Input}}", []],
  ["a price in a prompt", "nodes: {ask: {prompt: It costs $.50, or $.x in all}}", []],
])("finds the fields that a caller sends, by the selectors of %s", (_, text, fields) => {
  expect(Object.keys(inputOf(text))).toEqual(fields);
});
