// @vitest-environment happy-dom
import { expect, it } from "vitest";
import * as cast from "./cast.ts";
import * as kit from "./kit.tsx";
import { api } from "./kit.tsx";

it.each([
  ["New trigger", ""],
  ["Change", "Every working day"],
])("%s that is filled in asks before it is left", async (opens, name) => {
  await kit.show(`/console/apps/${cast.APP}/triggers`);
  if (name) await kit.press(name);
  await kit.press(opens);
  const field = await kit.write("Name", "filled in");
  for (const way of [kit.pressEscape, () => kit.press("Cancel"), async () => history.back()]) {
    await way();
    const asks = await kit.find("alertdialog", "Leave?");
    await kit.press("Stay", asks);
    await kit.until(() => !asks.isConnected);
    expect([field.isConnected, field.value]).toEqual([true, "filled in"]);
  }
  expect(await kit.findings()).toEqual([]);
  await kit.pressEscape();
  await kit.press("Leave", await kit.find("alertdialog", "Leave?"));
  await kit.until(() => !field.isConnected);
  expect(kit.isThere("dialog", name || undefined)).toBe(Boolean(name));
  await kit.press(opens);
  expect((await kit.field("Name")).value).toBe(name);
  expect(api.calls()).toEqual([]);
});
