import { afterEach, beforeEach, expect, it, vi } from "vitest";

const answers = (id: string) => async () =>
  Response.json({ data: { user: { id, email: null, username: id }, expires_at: null, sign_in: {}, version: "1" } });

const listeners = new Map<string, (event: Event) => void>();
const reload = vi.fn();

beforeEach(() => {
  vi.resetModules();
  reload.mockClear();
  vi.stubGlobal("location", { reload });
  vi.stubGlobal("addEventListener", (name: string, does: (event: Event) => void) => listeners.set(name, does));
});
afterEach(() => vi.unstubAllGlobals());

/** Whether a page that is left now asks its reader first. */
function isAskedFirst(): boolean {
  const event = new Event("beforeunload", { cancelable: true });
  listeners.get("beforeunload")?.(event);
  return event.defaultPrevented;
}

it("does nothing more in the name of somebody else who signs in, and no filled form keeps the page", async () => {
  const { isExpired, readSession, user } = await import("./session.ts");
  const { keep } = await import("./keeper.ts");
  keep({ isKept: () => true, ask: () => undefined });
  vi.stubGlobal("fetch", answers("anna"));
  await readSession();
  expect([user.value?.id, isExpired.value, isAskedFirst()]).toEqual(["anna", false, true]);
  vi.stubGlobal("fetch", answers("otto"));
  await readSession();
  expect(reload).toHaveBeenCalledTimes(1);
  expect([user.value?.id, isExpired.value, isAskedFirst()]).toEqual(["anna", true, false]);
});

it("goes on where the same person signs in again", async () => {
  const { isExpired, noteExpired, readSession } = await import("./session.ts");
  vi.stubGlobal("fetch", answers("anna"));
  await readSession();
  noteExpired();
  await readSession();
  expect([isExpired.value, reload.mock.calls.length]).toEqual([false, 0]);
});
