import { listeners } from "../api/client.ts";
import { Problem, problemOf, problemOfResponse } from "../api/problem.ts";
import { letGo } from "./keeper.ts";
import { signal } from "./signal.ts";

export interface User {
  id: string;
  email: string | null;
  username: string;
}

interface SessionData {
  user: User | null;
  expires_at: string | null;
  sign_in: { token: boolean; oidc: { name: string } | null };
  version: string;
}

const ADDRESS = "/console/session";
const HEADERS = { "Content-Type": "application/json", "X-Dynamiq-Console": "1" };

/** What `/console/session` said last; undefined until it has answered once. */
export const session = signal<SessionData | undefined>(undefined);
/** Whether a session that was there has ended. The page stays as it is: whoever signs in again goes on. */
export const isExpired = signal(false);
export const user = {
  get value(): User | undefined {
    return session.value?.user ?? undefined;
  },
};

const channel = new BroadcastChannel("dynamiq-session");
channel.onmessage = (event) => {
  if (event.data === "in") void readSession();
  if (event.data === "out") location.assign("/console/sign-in");
};

/** Reads who is signed in. Throws Problem. */
export async function readSession(): Promise<void> {
  keep(await ask("GET"));
}

/** Signs in with a token. Throws Problem. */
export async function signIn(token: string): Promise<void> {
  keep(await ask("POST", { token }));
  channel.postMessage("in");
}

/** Removes the session, in every tab. Throws Problem. */
export async function signOut(): Promise<void> {
  await ask("DELETE");
  channel.postMessage("out");
  location.assign("/console/sign-in");
}

/** Tells the tabs that wait for a sign-in which happened in this window. */
export function announceSignIn(): void {
  channel.postMessage("in");
}

/** A call was answered 401. */
export function noteExpired(): void {
  if (session.value?.user) isExpired.value = true;
}
listeners.expired = noteExpired;

function keep(found: SessionData | undefined): void {
  if (found === undefined) return;
  const before = session.value?.user;
  if (before && found.user && before.id !== found.user.id) {
    // Somebody else signed in. What is on the screen is not theirs: it does nothing more in their name, and no form keeps it here.
    isExpired.value = true;
    letGo();
    location.reload();
    return;
  }
  if (found.user || !before) session.value = found;
  isExpired.value = Boolean(before) && !found.user;
}

async function ask(method: string, body?: unknown): Promise<SessionData | undefined> {
  let response: Response;
  try {
    response = await fetch(ADDRESS, { method, headers: HEADERS, body: body ? JSON.stringify(body) : undefined });
  } catch (thrown) {
    throw problemOf(thrown);
  }
  const found = response.status === 204 ? undefined : await response.json().catch(() => undefined);
  if (!response.ok) throw await problemOfResponse(response, found);
  return found?.data;
}

export { Problem };
