// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import * as cast from "./cast.ts";
import * as kit from "./kit.tsx";
import { api, user } from "./kit.tsx";
import { FORMS, SCREENS, type Screen } from "./screens.ts";

const BUSY = "Too much is asked of the cluster at this moment; ask again.";
const SECRET = "apps.dynamiq.getdynamiq.ai is forbidden: you cannot list it in demo";
const ENDED = "Your session has ended";
const AWAY = "The API does not answer at this moment";
const ALL = [...SCREENS, ...FORMS];

/** Where a screen is on the page, once it is there. */
const placeOf = async (screen: Screen): Promise<HTMLElement> => (screen.over ? kit.dialog() : document.body);

/** Opens a screen until it shows what it is about, or something else; where it is. */
async function opened(screen: Screen, { shows = screen.shows, query = "", answers = {} as cast.Answers } = {}) {
  await kit.show(screen.path + query, answers);
  for (const name of screen.opens ?? []) await kit.press(name);
  const place = await placeOf(screen);
  await kit.says(shows, place);
  await kit.settled();
  return placeOf(screen);
}

describe.for(SCREENS.map((screen) => [screen.name, screen] as const))("%s", ([, screen]) => {
  it("waits, shows why it was refused, appears after Retry, and stays without the API and the session", async () => {
    const call = screen.reads as string;
    const shown = kit.show(screen.path);
    api.hold(call);
    await shown;
    await kit.until(() => api.isHolding);
    const place = await placeOf(screen);
    await kit.find("status", "Loading", place);
    api.refuse(429, BUSY, call);
    api.letGo();
    for (const [status, title, says] of [
      [429, "This could not be read", BUSY],
      [403, "You may not see this", SECRET],
    ] as const) {
      api.refuse(status, says, call);
      if (status === 403) await kit.press("Retry", place);
      const alert = await kit.waitFor(() => kit.alertWith(title, place));
      await kit.says(says, alert);
    }
    expect(await kit.findings()).toEqual([]);
    api.answer();
    await kit.press("Retry", place);
    await kit.says(screen.shows, place);
    await kit.settled();
    expect(kit.textOf(document.body), "lines for a terminal look like such").not.toContain("`");

    const lost = screen.over ? place : document.body;
    api.isAway = true;
    dispatchEvent(new Event("offline"));
    await kit.says(AWAY, lost);
    await kit.says(screen.shows, place);
    api.isAway = false;
    api.refuse(401, "the token is over");
    dispatchEvent(new Event("online"));
    await kit.says(ENDED, lost);
    await kit.says(screen.shows, place);
    expect(await kit.findings()).toEqual([]);
  });
});

const EMPTY = SCREENS.flatMap((screen) =>
  (screen.nothing ?? []).map((nothing) => [screen.name, nothing.says, screen, nothing] as const),
);
it.for(EMPTY)("%s says: %s", async ([, , screen, { answers, says, query }]) => {
  await opened(screen, { shows: says, query, answers });
  expect(await kit.findings()).toEqual([]);
});

const BARRED = ALL.flatMap((screen) => (screen.barred ? [[screen.name, screen, screen.barred] as const] : []));
it.for(BARRED)(
  "%s: what the caller may not do is there, does nothing and names the role",
  async ([, screen, barred]) => {
    const place = await opened(screen, { answers: barred.answers });
    const before = location.href;
    for (const name of barred.buttons) {
      const button = await kit.button(new RegExp(`^${RegExp.escape(name)}( |$)`), place);
      await kit.has(button, "aria-disabled");
      expect(kit.describes(button)).toContain(cast.ROLE);
      await user.click(button);
      button.focus();
      await user.keyboard("{Enter}");
      expect(location.href).toBe(before);
    }
    expect(api.calls()).toEqual([]);
    expect(await kit.findings()).toEqual([]);
  },
);

const FILLED = ALL.flatMap((screen) => (screen.filled ? [[screen.name, screen, screen.filled] as const] : []));
it.for(FILLED)(
  "%s stays filled in while somebody signs in again in a second window",
  async ([, screen, [label, text]]) => {
    const place = await opened(screen);
    const field = await kit.write(label, text, place);
    api.refuse(401, "the token is over");
    await kit.returned();
    await kit.says(ENDED, place);
    api.answer();
    kit.signedInAgain();
    await kit.saysNot(ENDED);
    expect(field.isConnected).toBe(true);
    expect(field.value).toBe(text);
  },
);
