import createClient from "openapi-fetch";
import { noteSilence } from "../state/connection.ts";
import { noteExpired } from "../state/session.ts";
import { Problem, problemOf, problemOfResponse } from "./problem.ts";
import type { paths } from "./schema.d.ts";

/** The header that no form, link or image of another site can send. */
export const OWN = { "X-Dynamiq-Console": "1" };

const client = createClient<paths>({ baseUrl: location.origin, headers: OWN, credentials: "same-origin" });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What a call answered. Throws Problem. */
export async function call<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (thrown) {
    if ((thrown as Error)?.name === "AbortError") throw thrown;
    noteSilence();
    throw problemOf(thrown);
  }
  const { response } = answer;
  if (response.ok) return answer.data as T;
  const problem = await problemOfResponse(response, answer.error);
  if (problem.isAway) noteSilence();
  if (problem.status === 401) noteExpired();
  throw problem;
}

export const { GET, POST, PATCH, PUT, DELETE } = client;
export { Problem };
