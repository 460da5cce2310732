import type { Client } from "openapi-fetch";
import type { paths } from "../pure/schema.d.ts";
import { Problem, problemOf, problemOfResponse } from "./problem.ts";

/** The header that no form, link or image of another site can send. */
export const OWN = { "X-Dynamiq-Console": "1" };

/** Callbacks of the state above: `silence` after a call without an answer, `expired` after one that was answered 401. */
export const listeners: { silence?: () => void; expired?: () => void } = {};

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

interface Asked {
  params?: Partial<Record<"path" | "query" | "header", Record<string, unknown>>>;
  body?: unknown;
  signal?: AbortSignal;
}

/** What a call answered. Throws Problem. */
export async function call<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (thrown) {
    if ((thrown as Error)?.name === "AbortError") throw thrown;
    listeners.silence?.();
    throw problemOf(thrown);
  }
  const { response } = answer;
  if (response.ok) return answer.data as T;
  const problem = await problemOfResponse(response, answer.error);
  if (problem.isAway) listeners.silence?.();
  if (problem.status === 401) listeners.expired?.();
  throw problem;
}

/** Returns the data of an answer. Throws Problem. */
export async function dataOf<D>(asked: Promise<Answer<{ data: D }>>): Promise<D> {
  return (await call(asked)).data;
}

/** The address of a path: ids in its braces, and the query without what is not there; of a list, each of it. */
export function addressOf(template: string, { path = {}, query = {} }: NonNullable<Asked["params"]>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of [value ?? []].flat()) search.append(name, String(each));
  }
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name])));
  return search.size > 0 ? `${filled}?${search}` : filled;
}

const by =
  (method: string) =>
  async (template: string, { params = {}, body, signal }: Asked = {}): Promise<Answer<unknown>> => {
    const headers: Record<string, string> = { ...OWN };
    for (const [name, value] of Object.entries(params.header ?? {})) if (value != null) headers[name] = String(value);
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const response = await fetch(addressOf(template, params), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
    const text = await response.text();
    let found: unknown = text;
    try {
      found = JSON.parse(text);
    } catch {
      // It is no answer of the API's: what it says is told by its status.
    }
    return response.ok ? { data: found, response } : { error: found, response };
  };

type Calls = Client<paths>;
export const GET = by("GET") as Calls["GET"];
export const POST = by("POST") as Calls["POST"];
export const PATCH = by("PATCH") as Calls["PATCH"];
export const PUT = by("PUT") as Calls["PUT"];
export const DELETE = by("DELETE") as Calls["DELETE"];
export { Problem };
