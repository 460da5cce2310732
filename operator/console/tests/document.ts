/** The API's own document: the types of its answers by call, and its examples of them. */
import { readFileSync } from "node:fs";
import type { paths } from "../src/pure/schema.d.ts";

type Path = keyof paths & string;
type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
/** A method and a path of the document, such as `GET /v1/apps/{app_id}`. */
export type Call = `${Method} ${Path}`;

type Answers<M extends string, P extends Path> =
  Lowercase<M> extends keyof paths[P] ? (paths[P][Lowercase<M>] extends { responses: infer R } ? R : never) : never;
type Json<R> = R extends { content: { "application/json": infer B } } ? B : undefined;
/** The body of a good answer to a call. */
export type Body<C extends Call> = C extends `${infer M} ${infer P extends Path}`
  ? { [S in keyof Answers<M, P>]: S extends 200 | 201 ? Json<Answers<M, P>[S]> : never }[keyof Answers<M, P>]
  : never;

interface Schema {
  $ref?: string;
  anyOf?: Schema[];
  type?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
}
type Response = { content?: Record<string, { schema: Schema; example?: unknown }> };
interface Document {
  paths: Record<string, Record<string, { responses: Record<string, Response> }>>;
  components: { schemas: Record<string, Schema> };
}

/** The list of open background runs is a call of its own: its answer has another shape. */
export const READ_OPEN_RUNS = "GET /v1/apps/{app_id}/runs?open=true";

const document = JSON.parse(readFileSync(`${import.meta.dirname}/../openapi.json`, "utf8")) as Document;
const patterns = Object.keys(document.paths).map(
  (path) => [path, new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`)] as const,
);

/** What a request is by the document; undefined: the API has no such call. */
export function callOf(method: string, path: string): Call | undefined {
  const found = path in document.paths ? path : patterns.find(([, pattern]) => pattern.test(path))?.[0];
  if (found === undefined || !(method.toLowerCase() in (document.paths[found] ?? {}))) return undefined;
  return `${method} ${found}` as Call;
}

/** Whether a call may be answered with a status. */
export const canAnswer = (call: string, status: number): boolean => String(status) in responsesOf(call);

/** The document's example of a good answer, whole, to be changed. Throws where there is none. */
export function example<C extends Call>(call: C): Body<C> {
  const good = Object.entries(responsesOf(call)).find(([status]) => status.startsWith("2"))?.[1];
  const { schema, example } = good?.content?.["application/json"] ?? {};
  if (schema === undefined || example === undefined) throw new Error(`the document has no example of ${call}`);
  return whole(schema, structuredClone(example)) as Body<C>;
}

/** What the example of a call tells. */
export const told = <C extends Call>(call: C): Body<C> extends { data: infer D } ? D : never =>
  (example(call) as { data: never }).data;

function responsesOf(call: string): Record<string, Response> {
  const [method = "", path = ""] = call.replace("?open=true", "").split(" ");
  return document.paths[path]?.[method.toLowerCase()]?.responses ?? {};
}

/** The value with null where the document's examples leave it out and the API says it. */
function whole(given: Schema, value: unknown): unknown {
  const schema = resolved(given);
  if (Array.isArray(value)) return value.map((each) => whole(schema.items ?? {}, each));
  if (typeof value !== "object" || value === null) return value;
  const { properties = {}, required = [] } =
    schema.anyOf?.map(resolved).find((part) => part.type === "object") ?? schema;
  const absent = required.filter((name) => !(name in value) && mayBeNull(properties[name] as Schema));
  const known = Object.entries(value).map(([name, each]) => [name, whole(properties[name] ?? {}, each)]);
  return Object.fromEntries([...known, ...absent.map((name) => [name, null])]);
}

const mayBeNull = (schema: Schema) => (schema.anyOf ?? [schema]).some((part) => part.type === "null");
const resolved = (schema: Schema): Schema =>
  schema.$ref ? (document.components.schemas[schema.$ref.split("/").at(-1) as string] as Schema) : schema;
