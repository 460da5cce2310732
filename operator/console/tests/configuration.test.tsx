// @vitest-environment happy-dom
import { expect, it } from "vitest";
import * as cast from "./cast.ts";
import { one, told } from "./cast.ts";
import { openPage } from "./cast-runs.ts";
import { READ_OPEN_RUNS } from "./document.ts";
import * as kit from "./kit.tsx";
import { api, user } from "./kit.tsx";

const APP = `/console/apps/${cast.APP}`;
const WRITE = "PATCH /v1/apps/{app_id}/configuration";
const REVOKE = "DELETE /v1/apps/{app_id}/access-keys/{name}";
const CREATE = "POST /v1/apps/{app_id}/access-keys";
const UNKNOWN = "The result is unknown";
const TOLD = one(cast.configuration({ managed_by: null, description: "Answers" }));

/** The configuration, and the form that changes it. */
async function changing(...answers: cast.Answers[]): Promise<HTMLElement> {
  await kit.show(
    `${APP}/configuration`,
    cast.answer(cast.READ_CONFIGURATION, TOLD),
    cast.answer(WRITE, TOLD),
    ...answers,
  );
  await kit.settled();
  // What another test left unfinished is there again.
  if (kit.isThere("region", "Change the configuration")) await kit.press("Cancel");
  await kit.press("Change", await kit.region("Configuration"));
  return kit.region("Change the configuration");
}

it("a used name is reported at the name", async () => {
  await kit.show(`${APP}/configuration`);
  await kit.press("Create a key");
  const dialog = await kit.dialog();
  const name = await kit.write("Name", "website", dialog);
  api.refuse(409, "App support has a key website already", CREATE, { details: { name: "taken" } });
  await kit.press("Create the key", dialog);
  await kit.has(name, "aria-invalid");
  await kit.says("has a key website already", dialog);
});

it.each([
  ["Hostname", "Hostname", "-no-name-", { hostname: "not a DNS name" }],
  ["Name of the variable", /^Name of the variable/, "PORT", { "variables.0.name": "runtime's own" }],
])("what the API refuses is said at its field, and the form stays: %s", async (_, label, text, details) => {
  const form = await changing();
  const description = await kit.write("Description", "Stays in the form", form);
  const wrong = (await kit.withinAll(label, form))[0] as HTMLInputElement;
  await user.clear(wrong);
  await user.type(wrong, text);
  api.refuse(422, "It is not valid", WRITE, { details });
  await kit.press("Save changes", form);
  await kit.waitFor(() => kit.alertWith("Nothing was saved", form));
  await kit.has(wrong, "aria-invalid");
  expect(kit.describes(wrong).toLowerCase()).toContain(Object.values(details)[0]?.toLowerCase());
  expect(description.value).toBe("Stays in the form");
});

it("a key whose revocation had no response is not shown as working", async () => {
  await kit.show(`${APP}/configuration`);
  await kit.press("Revoke website");
  const dialog = await kit.dialog();
  api.losesAnswers = true;
  await kit.press("Revoke website", dialog);
  await kit.waitFor(() => kit.alertWith(UNKNOWN, dialog));
  api.losesAnswers = false;
  api.refuse(404, "There is no key website", REVOKE);
  await kit.press("Revoke website", dialog);
  await kit.waitFor(() => kit.alertWith("The key is gone", dialog));
  await kit.saysNot("The key still works");
});

it("a filled form is there again after a look at another tab, until it is cancelled", async () => {
  const form = await changing();
  await kit.write("Value of LANGUAGE", "half done", form);
  await kit.painted();
  await kit.press("History");
  await kit.until(() => !form.isConnected);
  await kit.press("Configuration");
  const value = await kit.field("Value of LANGUAGE");
  expect(value.value).toBe("half done");
  await kit.press("Cancel", await kit.region("Change the configuration"));
  await kit.says("en", await kit.find("row", /LANGUAGE/));
  expect(kit.isThere("region", "Change the configuration")).toBe(false);
});

it("an App that Git manages shows that Git reverts a change here", async () => {
  const form = await changing(
    cast.answer(cast.READ_CONFIGURATION, one({ ...told(cast.READ_CONFIGURATION), managed_by: "argocd" })),
  );
  await kit.says("A change here is undone by Argo CD", form);
});

it.each([
  [3, "3 background runs that are open: they are canceled"],
  [1, "1 background run that is open: it is canceled"],
])("before an App is deleted, its open background runs are counted: %s", async (total_count, says) => {
  await kit.show(`${APP}/configuration`, { [READ_OPEN_RUNS]: openPage([], total_count) });
  await kit.press("Delete App");
  await kit.says(says, await kit.dialog());
});
