/** A flow as a reader looks through it: its nodes, in the order in which they stand. Pure. */

export interface Node {
  id: string;
  name: string;
  /** The SDK's class path, such as `dynamiq.nodes.tools.Python`. */
  type: string;
  /** The last word of the type. */
  kind: string;
  /** Names of the nodes that it waits for. */
  after: string[];
}

/** The nodes of a flow: of the API's form, where they are a list, or of the SDK's, where they stand by their ids. What is no flow has none. */
export function nodesOf(flow: unknown): Node[] {
  const nodes = isObject(flow) ? flow.nodes : undefined;
  const given: [string, Record<string, unknown>][] = Array.isArray(nodes)
    ? nodes.filter(isObject).map((node) => [textOf(node.id), node])
    : isObject(nodes)
      ? Object.entries(nodes).filter((each): each is [string, Record<string, unknown>] => isObject(each[1]))
      : [];
  const names = new Map(given.map(([id, node]) => [id, textOf(node.name) || id]));
  return given.map(([id, node]) => {
    const type = textOf(node.type);
    return {
      id,
      name: names.get(id) ?? id,
      type,
      kind: type.split(".").at(-1) ?? "",
      after: dependencies(node.depends).map((each) => names.get(each) ?? each),
    };
  });
}

/** What a caller sends, by the selectors in the text of a flow: an example of each field that is read of its Input nodes, or of the input itself. */
export function inputOf(text: string): Record<string, string> {
  const read = [...text.matchAll(SELECTED)].map(({ 1: plain, 2: quoted, 3: output, 4: field }) => {
    return { name: plain ?? quoted ?? "", isNode: output !== undefined, field };
  });
  const nodes = new Map(read.filter(({ isNode }) => isNode).map(({ name }) => [name, isInput(name, text)]));
  const fields = read.map(({ name, isNode, field }) => {
    if (isNode) return nodes.get(name) ? field : undefined;
    return isInput(name, text) ? undefined : name;
  });
  return Object.fromEntries(fields.filter((each) => each !== undefined).map((each) => [each, "Hello?"]));
}

/** A selector: `$.in.output.text`, `$["in"].output.text`, or `$.text` of the input itself. It is the value of a key, or comes after `||`. */
const SELECTED =
  /(?:["']?:\s*\\?["']?|\|\|\s*)[$@](?:\.([A-Za-z_][\w@-]*)|\.?\[\s*\\?["'](.+?)\\?["']\s*\])(\.output(?:\.([A-Za-z_]\w*))?(?![\w]))?/g;

/** Whether a node is an Input node. The console has no parser of YAML: the first `type` behind the node's id tells. */
function isInput(id: string, text: string): boolean {
  const escaped = id.replace(/\W/g, "\\$&");
  const node = new RegExp(
    `(?<![\\w-])(?:id["']?:\\s*)?["']?${escaped}["']?(?::|,|\\s)[^]*?\\btype["']?:\\s*["']?([\\w.]+)`,
  );
  return node.exec(text)?.[1]?.endsWith(".Input") ?? false;
}

function dependencies(depends: unknown): string[] {
  return (Array.isArray(depends) ? depends : [])
    .map((each) => textOf(isObject(each) ? each.node : each))
    .filter(Boolean);
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
