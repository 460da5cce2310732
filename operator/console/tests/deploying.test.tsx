// @vitest-environment happy-dom

import { describe, expect, it, vi } from "vitest";
import type { Schemas } from "../src/pure/shapes.ts";
import * as cast from "./cast.ts";
import { first, one, some } from "./cast.ts";
import * as kit from "./kit.tsx";
import { api, user } from "./kit.tsx";

const APP = `/console/apps/${cast.APP}`;
const FLOW = `/console/workflows/${cast.WORKFLOW}`;
const DEPLOYED = cast.answer(cast.DEPLOY, one(cast.row(cast.LIVE)));
const NO_ANSWER = "whether it was done is not known";
const config = (min: number, max: number): Schemas["AppDetails"]["deployment_config"] => ({
  deployment_type: "server_based",
  config: { autoscaling: { min_replicas: min, max_replicas: max, target_cpu_utilization_percentage: 60 } },
});
const onlyOne = cast.answer(cast.READ_APPS, some([cast.app()]));

/** Opens a dialog until it shows what it would do. */
async function opened(path: string, ...answers: cast.Answers[]): Promise<HTMLElement> {
  await kit.show(path, DEPLOYED, ...answers);
  const panel = await kit.dialog();
  await kit.find("region", undefined, panel);
  await kit.settled();
  return kit.dialog();
}

/** Waits for the rollout's screen; what was sent. */
async function rolledOut(): Promise<unknown> {
  await kit.isAt(`${APP}/rollouts/${cast.ROW}`);
  return kit.sent();
}

const submit = (): HTMLElement => document.querySelector("dialog [type=submit]") as HTMLElement;
const waits = (says: string | RegExp) => kit.waitFor(() => expect(kit.describes(submit())).toMatch(says));
/** Presses the button of the form, once it can be pressed. */
async function act(): Promise<void> {
  await kit.waitFor(() => expect(submit().getAttribute("aria-disabled")).toBe(null));
  await user.click(submit());
}

describe("what is deployed", () => {
  it("is the previewed and filled-in form, and has a command for a terminal", async () => {
    const panel = await opened(`${APP}/deploy`, onlyOne);
    expect(kit.chosen(await kit.field("Select deployment"))).toContain("Customer support");
    expect(kit.optionsOf(await kit.field("Source version"))[0]).toMatch(/^v2 \(deployed\) · /);
    expect((await kit.field("Name")).readOnly).toBe(true);
    await kit.choose("Runtime", "1.3.0");
    await kit.says("1.3.0 is deprecated: choose a newer one", panel);
    await user.click(await kit.text("Advanced configuration"));
    await kit.write("Max replicas", "3");
    await kit.write("Message (optional)", "it's two, by <b>hand</b>");
    await kit.says("--max 3 -m 'it'\\''s two, by <b>hand</b>'", await kit.region("From a terminal", panel));
    await kit.settled();
    const { body } = first(api.calls(cast.PREVIEW).slice(-1));
    await act();
    expect(await rolledOut()).toMatchObject({
      workflow_version_id: cast.VERSION,
      runtime_id: cast.uid(61),
      message: "it's two, by <b>hand</b>",
      deployment_config: {
        deployment_type: "server_based",
        config: { autoscaling: { max_replicas: 3 } },
      },
    });
    expect(kit.sent()).toMatchObject(body as object);
  });

  it("keeps the live values of untouched fields", async () => {
    await opened(`${APP}/deploy`, cast.answer(cast.READ_APP, one(cast.app({ deployment_config: config(2, 5) }))));
    await user.click(await kit.text("Advanced configuration"));
    for (const [label, value] of [
      ["Min replicas", "2"],
      ["Max replicas", "5"],
      [/^Target CPU/, "60"],
    ] as const) {
      expect((await kit.field(label)).value).toBe(value);
    }
    await act();
    expect(await rolledOut()).not.toHaveProperty("deployment_config");
  });

  it("is a new App where that is chosen", async () => {
    const made = cast.answer("POST /v1/apps", one(cast.appOfList(0, { id: cast.APP, latest_deployment_id: cast.ROW })));
    const panel = await opened(`${FLOW}/deploy`, made);
    await kit.press("New deployment");
    await kit.write("Name", "By mouse", panel);
    await kit.write("Description", "Made in a window", panel);
    await kit.press("Server-based");
    await kit.press("Public");
    await kit.choose("Runtime", "1.4.0");
    await kit.says("Whoever reaches its address may call it, without a key", panel);
    await act();
    await kit.isAt(new RegExp(`^${APP}`));
    expect(kit.sent()).toMatchObject({
      ...{ name: "By mouse", description: "Made in a window", workflow_id: cast.WORKFLOW },
      ...{ workflow_version_id: cast.VERSION, access_control: { access_type: "public" } },
      deployment_config: { deployment_type: "server_based" },
    });
  });

  it("is sent by Control and Enter from a field", async () => {
    await opened(`${APP}/deploy`);
    await user.type(await kit.field("Message (optional)"), "by two keys{Control>}{Enter}{/Control}");
    expect(await rolledOut()).toMatchObject({ message: "by two keys" });
  });
});

describe("the version", () => {
  it.each([
    ["by its name", `${FLOW}/deploy?version=v2`],
    ["by its id", `${FLOW}/deploy?version=${cast.VERSION}`],
  ])("is chosen beforehand by a link, %s", async (_, path) => {
    await opened(path, onlyOne);
    expect(((await kit.find("radio", "Existing deployment")) as HTMLInputElement).checked).toBe(true);
    expect(kit.chosen(await kit.field("Source version"))).toContain("v2");
  });

  it("is none if a link names a missing one", async () => {
    const shown = kit.show(`${APP}/deploy?version=v9`, DEPLOYED);
    api.refuse(404, "There is no such version.", cast.READ_FLOW_DIFF);
    await shown;
    const source = await kit.field("Source version");
    expect(kit.chosen(source)).toBe("Choose a version…");
    expect(kit.describes(source)).toContain("v9 is no version of this workflow");
    await waits("Choose a version");
    await kit.choose("Source version", "v2");
    await kit.settled();
    await act();
    await rolledOut();
  });

  it("may be older than all that are listed", async () => {
    const id = cast.uid(90);
    const difference = cast.told(cast.READ_FLOW_DIFF);
    const older = cast.answer(cast.READ_FLOW_DIFF, one({ ...difference, to: { ...difference.to, id, version: "v0" } }));
    await opened(`${APP}/deploy?version=${id}`, older);
    await kit.button(/^Deploy v0/);
    await act();
    expect(await rolledOut()).toMatchObject({ workflow_version_id: id });
  });

  const NEWEST = cast.uid(91);
  /** A version that is newer than what is deployed. */
  const newer = cast.answer(
    cast.READ_VERSIONS,
    some([{ ...first(cast.versions()), id: NEWEST, version: "v3" }, ...cast.versions()]),
  );
  it("is the deployed one at first, though a newer one is released", async () => {
    await opened(`${APP}/deploy`, newer);
    expect(kit.chosen(await kit.field("Source version"))).toMatch(/^v2 \(deployed\)/);
  });

  it("is marked if it failed on the runtime that would run it", async () => {
    const failed = cast.row(7, { status: "Failed", is_live: false, workflow_version_id: NEWEST });
    await opened(`${APP}/deploy`, newer, cast.answer(cast.READ_ROWS, some([failed])));
    const source = await kit.field("Source version");
    await kit.waitFor(() => expect(kit.optionsOf(source)[0]).toMatch(/^v3 failed on 1\.4\.0 \(#7\) · /));
    await kit.choose("Runtime", "1.3.0");
    await kit.waitFor(() => expect(kit.optionsOf(source)[0]).toMatch(/^v3 · /));
  });

  it("cannot be chosen after its rejection without the right to bypass", async () => {
    const rights = cast.answer(cast.READ_RIGHTS, one(cast.rights("bypass")));
    await opened(`${APP}/deploy`, rights);
    const [, rejected] = ((await kit.field("Source version")) as unknown as HTMLSelectElement).options;
    expect(rejected?.text).toMatch(/^v1 \(rejected\) · v2 was rejected by/);
    expect(rejected?.disabled).toBe(true);
  });
});

it("a workflow of several Apps leaves it to the reader which is deployed", async () => {
  await opened(`${FLOW}/deploy`);
  const select = await kit.field("Select deployment");
  await kit.isFocused(select);
  expect(kit.chosen(select)).toBe("Choose a deployment…");
  await waits("Choose a deployment");
  await kit.choose("Select deployment", "Ledger");
  await kit.settled();
  await act();
  await kit.until(() => api.calls(cast.DEPLOY).length > 0);
  expect(first(api.calls(cast.DEPLOY)).url).toBe(`/v1/apps/${cast.uid(2)}/deploy`);
});

it("a workflow without a version names the next step", async () => {
  await kit.show(`${FLOW}/deploy`, cast.answer(cast.READ_VERSIONS, some([])));
  const panel = await kit.dialog("Deploy");
  await kit.says("kubectl dynamiq release support -n demo", panel);
  await kit.press("Open the workflow", panel);
  await kit.isAt(FLOW);
});

it("a wrong value is named beside the button, which leads to it and sends nothing", async () => {
  await opened(`${APP}/deploy`);
  await user.click(await kit.text("Advanced configuration"));
  const replicas = await kit.write("Max replicas", "many");
  await waits("Fix first: Max replicas. A whole number from 1 to 1,000");
  await kit.has(submit(), "aria-disabled");
  (await kit.field("Message (optional)")).focus();
  await user.click(submit());
  await kit.isFocused(replicas);
  expect(api.calls()).toEqual([]);
});

it("a wrong value hides the preview and the command for a terminal until it is right", async () => {
  const panel = await opened(`${APP}/deploy`);
  const preview = await kit.region("Preview", panel);
  await kit.says("Answer shortly, and", preview);
  await kit.says("kubectl dynamiq deploy", await kit.region("From a terminal", panel));
  await user.click(await kit.text("Advanced configuration"));
  const replicas = await kit.write("Max replicas", "many");
  await kit.saysNot("Answer shortly, and", preview);
  await kit.says("Fix the marked fields to see what this would do.", preview);
  expect(kit.isThere("region", "From a terminal", panel)).toBe(false);
  await user.clear(replicas);
  await kit.says("Answer shortly, and", preview);
  await kit.region("From a terminal", panel);
});

it("a mistake is brought into view as soon as it is made", async () => {
  const shown: (Element | null)[] = [];
  const scrolls = vi.spyOn(Element.prototype, "scrollIntoView").mockImplementation(function scroll(this: Element) {
    shown.push(this);
  });
  await opened(`${APP}/deploy`);
  await user.click(await kit.text("Advanced configuration"));
  const replicas = await kit.write("Max replicas", "many");
  await kit.until(() => shown.some((each) => each?.contains(replicas)));
  scrolls.mockRestore();
});

describe("a filled form", () => {
  it("asks once before it is left", async () => {
    const panel = await opened(`${APP}/deploy`);
    const message = await kit.write("Message (optional)", "half a senten", panel);
    await kit.pressEscape();
    await kit.isFocused(await kit.button("Stay"));
    await kit.press("Stay");
    await kit.until(() => !kit.isThere("alertdialog"));
    expect(message.value).toBe("half a senten");
    await kit.pressEscape();
    await kit.button("Stay");
    await kit.pressEscape();
    await kit.until(() => !kit.isThere("dialog"));
    expect(location.pathname).toBe(APP);
  });

  it("asks too if its result is unknown", async () => {
    await opened(`${APP}/deploy`);
    api.losesAnswers = true;
    await act();
    await kit.button("Try again");
    await kit.pressEscape();
    await kit.says("The result is unknown", await kit.find("alertdialog", "Leave?"));
    api.losesAnswers = false;
    await kit.press("Stay");
    await kit.press("Try again");
    await rolledOut();
  });
});

describe("what comes in between", () => {
  const MESSAGE = "kept whatever happens";

  /** The panel, filled in. */
  async function filled(...answers: cast.Answers[]): Promise<HTMLInputElement> {
    await opened(`${APP}/deploy`, ...answers);
    const message = await kit.write("Message (optional)", MESSAGE);
    await kit.settled();
    return message;
  }

  it("is shown: the changes since the preview, and nothing was done", async () => {
    const message = await filled();
    const changed = cast.preview({ to: { ...cast.preview().to, config: config(2, 4) } });
    const details = { config: { confirmed: config(1, 2), now: config(2, 4) } };
    api.refuse(409, "what is live has changed", cast.DEPLOY, { details });
    await user.type(message, "{Control>}{Enter}{/Control}");
    const told = await kit.waitFor(() => kit.alertWith("Nothing was done"));
    await kit.isFocused(message);
    await kit.says("2 to 4 pods at 60 % CPU", await kit.find("row", /Configuration/, told));
    expect(message.value).toBe(MESSAGE);
    api.answer();
    api.says(cast.answer(cast.PREVIEW, one(changed)));
    await kit.press("Look at the new preview", told);
    await kit.says("2 to 4 pods at 60 % CPU", await kit.region("Preview"));
    await kit.settled();
    await act();
    await rolledOut();
  });

  it("the API is unavailable: the form continues when it is back", async () => {
    const message = await filled();
    api.isAway = true;
    await act();
    await kit.waitFor(() => kit.alertWith(NO_ANSWER));
    await kit.says("The API does not answer at this moment", await kit.dialog());
    expect(message.value).toBe(MESSAGE);
    api.isAway = false;
    dispatchEvent(new Event("online"));
    await kit.saysNot("The API does not answer at this moment");
    await kit.press("Try again");
    await rolledOut();
  });

  it("the session ends: the form continues after a sign-in in a second window", async () => {
    const message = await filled();
    api.refuse(401, "the token is over");
    await act();
    await kit.waitFor(() => kit.alertWith("Nothing was done"));
    const opens = kit.opensWindows();
    await kit.press("Sign in again", await kit.dialog());
    expect(opens).toHaveBeenCalledWith("/console/sign-in?window=1", "dynamiq-sign-in", expect.anything());
    api.answer();
    kit.signedInAgain();
    await kit.until(() => !kit.isThere("button", "Sign in again"));
    expect(message.value).toBe(MESSAGE);
    await kit.settled();
    await act();
    expect(await rolledOut()).toMatchObject({ message: MESSAGE });
  });

  it("a lost right is named, and the form continues when it is back", async () => {
    const message = await filled();
    api.refuse(403, "deployments.dynamiq.getdynamiq.ai is forbidden", cast.DEPLOY);
    api.says(cast.answer(cast.READ_RIGHTS, one(cast.rights("deploy"))));
    await act();
    await kit.says(`the role ${cast.ROLE} has it`, await kit.dialog());
    expect(message.value).toBe(MESSAGE);
    api.answer();
    api.says(cast.answer(cast.READ_RIGHTS, one(cast.rights())));
    await kit.press("Ask again");
    await kit.until(() => submit());
    await kit.settled();
    await act();
    await rolledOut();
  });

  it("a refusal of the API stays at its field until that is changed", async () => {
    await opened(`${FLOW}/deploy`);
    await kit.press("New deployment");
    const name = await kit.write("Name", "support", await kit.dialog());
    api.refuse(409, "There is an App named support already.", "POST /v1/apps", { details: { name: "taken" } });
    await act();
    await kit.has(name, "aria-invalid");
    expect(kit.describes(name)).toContain("an App named support already");
    await user.type(name, " & more");
    await kit.waitFor(() => expect(kit.describes(name)).toContain("Letters, digits, spaces"));
    await kit.write("Name", "not refused", await kit.dialog());
    await kit.has(name, "aria-invalid", null);
  });

  it("others deploy: the form stays as it is, and its preview is renewed", async () => {
    const message = await filled(onlyOne);
    const live = { ...cast.app().live, deployment_id: cast.uid(13) } as NonNullable<Schemas["AppDetails"]["live"]>;
    const from = { ...cast.preview().from, version: "v3", sequence: 13 } as Schemas["PreviewShape"]["from"];
    api.says(cast.answer(cast.PREVIEW, one(cast.preview({ from }))));
    api.tell("app", cast.app({ live, updated_at: "2026-11-25T00:00:00Z" }));
    await kit.says("v3 (#13)", await kit.region("Preview"));
    expect(message.value).toBe(MESSAGE);
    expect(kit.chosen(await kit.field("Source version"))).toContain("v2");
  });
});

describe("a rollback", () => {
  const BACK = `${APP}/history/${cast.OLDER}/roll-back`;

  it("takes two actions from the history, and the button has the focus", async () => {
    await kit.show(`${APP}/history`, DEPLOYED);
    await kit.press(`Roll back to v2 (#${cast.LIVE - 2})`);
    const panel = await kit.dialog("Roll back");
    await kit.isFocused(await kit.button(`Roll back to v2 (#${cast.LIVE - 2})`, panel));
    await act();
    expect(await rolledOut()).toMatchObject({ restores: cast.OLDER });
    await kit.isFocused(
      await kit.find("heading", /./, document.querySelector("main h1")?.parentElement as HTMLElement),
    );
  });

  it("restores scaling on request, and asks for a hold if the App has another", async () => {
    const panel = await opened(BACK, cast.answer(cast.PREVIEW, one(cast.preview({ begins_hold: true }))));
    const call = await kit.region("API call", panel);
    const [hold, scaling] = [await kit.field(/^Git waits afterwards/), await kit.field(/^Deploy its scaling, too/)];
    expect(hold.checked).toBe(true);
    await user.click(hold);
    await kit.says('"hold":false', call);
    await user.click(hold);
    await kit.saysNot("hold", call);
    await user.click(hold);
    await user.click(scaling);
    await kit.says(`"restores":"${cast.OLDER}","with_config":true`, call);
    await kit.says(`--to-row ${cast.LIVE - 2} --with-config`, await kit.region("From a terminal", panel));
    await kit.saysNot("hold", call);
    hold.focus();
    await user.keyboard(" ");
    expect(hold.checked).toBe(false);
    await kit.has(hold, "aria-disabled");
    await kit.says("a plain deploy, which begins no hold", panel);
    await kit.settled();
    await act();
    expect(await rolledOut()).toEqual(expect.objectContaining({ restores: cast.OLDER, with_config: true }));
    expect(kit.sent()).not.toHaveProperty("hold");
  });

  it("offers nothing else if the caller may only roll back", async () => {
    const panel = await opened(BACK, cast.answer(cast.READ_RIGHTS, one(cast.rights("deploy"))));
    for (const label of [/^Git waits afterwards/, /^Deploy its scaling, too/]) {
      const box = await kit.field(label);
      await kit.has(box, "aria-disabled");
      expect(kit.textOf(box.closest("label") as HTMLElement)).toContain(cast.ROLE);
      const before = box.checked;
      await user.click(box);
      expect(box.checked).toBe(before);
    }
    await kit.saysNot("hold", await kit.region("API call", panel));
    expect(submit().getAttribute("aria-disabled")).toBe(null);
  });

  it("needs no workflow", async () => {
    await opened(BACK, cast.answer(cast.READ_APP, one(cast.app({ workflow_id: null }))));
    await act();
    expect(await rolledOut()).toMatchObject({ restores: cast.OLDER });
    expect(api.calls(cast.READ_VERSIONS)).toEqual([]);
  });
});

describe("a promotion", () => {
  const HERE = `${APP}/promote`;
  const promoted = cast.answer(cast.PROMOTE, one(cast.row(cast.LIVE)));
  const preview = (parts: Partial<Schemas["PromotionPreview"]> = {}) =>
    cast.answer(cast.PREVIEW_PROMOTION, one(cast.promotion({ warnings: [], guards: [], ...parts })));

  it("asks for the hostname that is needed, and takes no wrong one", async () => {
    await kit.show(HERE, promoted, preview({ new_app: true }));
    api.refuse(422, "a hostname is needed", cast.PREVIEW_PROMOTION, { details: { hostname: "missing" } });
    const hostname = await kit.field("Hostname");
    await kit.isFocused(hostname);
    await waits("Give a hostname");
    api.answer();
    await user.type(hostname, "https://Hosted");
    await kit.has(hostname, "aria-invalid");
    await kit.write("Hostname", "hosted.prod.example.com");
    await kit.has(hostname, "aria-invalid", null);
    await kit.settled();
    await act();
    await kit.isAt(/\/rollouts\//);
    expect(kit.sent()).toMatchObject({ hostname: "hosted.prod.example.com", project_id: cast.uid(20) });
  });

  it("shows first what the target lacks, with the command that creates it, and checks again", async () => {
    const lacks = {
      kind: "Secret",
      name: "openai",
      namespace: "support-prod",
      key: "token",
      variable: "TOKEN",
      is_there: false,
    };
    await kit.show(HERE, promoted, preview({ new_app: true }));
    const details = { lacking: [lacks] };
    api.refuse(409, "Secret openai is missing", cast.PREVIEW_PROMOTION, { details });
    const told = await kit.waitFor(() => kit.alertWith("First, "));
    await kit.says("kubectl create secret generic openai -n support-prod --from-literal=token=VALUE", told);
    await kit.says("Anyone who may write Secrets in namespace support-prod can do this", told);
    await waits("lacks Secret openai");
    api.answer();
    await kit.press("Look again", told);
    await kit.until(() => !told.isConnected);
  });

  it("follows what others deploy there", async () => {
    const target = { ...cast.app().live, deployment_id: cast.uid(2) } as NonNullable<Schemas["AppDetails"]["live"]>;
    const there = cast
      .environments()
      .map((each) => ({ ...each, app_id: each.app_id ?? cast.uid(5), needs_hostname: false }));
    const from = { ...cast.promotion().from, sequence: 1 } as Schemas["PromotionPreview"]["from"];
    const panel = await opened(HERE, cast.answer(cast.READ_ENVIRONMENTS, { data: there }), preview({ from }));
    await kit.says("v2 (#1)", panel);
    api.says(
      preview({ from: { ...from, sequence: 2 } as typeof from, to: { ...cast.promotion().to, config: config(2, 4) } }),
    );
    api.tell("app", cast.app({ id: cast.uid(5), live: target }));
    await kit.says("v2 (#2)", panel);
    await kit.says("2 to 4 pods at 60 % CPU", panel);
  });
});
