// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import * as cast from "./cast.ts";
import { first, one, some, told } from "./cast.ts";
import type { Call } from "./document.ts";
import * as kit from "./kit.tsx";
import { api, user } from "./kit.tsx";

const APP = `/console/apps/${cast.APP}`;
const BUSY = "Too much is asked of the cluster at this moment; ask again.";
const AWAY = "The API does not answer at this moment";

describe("where one read fails, or comes late, and the others do not", () => {
  it("the failure is shown above the known parts, and only that read is tried again", async () => {
    const reads = (call: Call) => api.calls(call).length;
    await kit.show(`${APP}/configuration`);
    const keys = await kit.region("Access Keys");
    await kit.button("Revoke website", keys);
    await kit.settled();
    api.refuse(503, BUSY, cast.READ_KEYS);
    await kit.returned();
    await kit.waitFor(() => kit.alertWith(BUSY, keys));
    expect(kit.isThere("button", "Revoke website", keys)).toBe(true);
    const others: Call[] = [cast.READ_CONFIGURATION, cast.READ_RIGHTS, cast.READ_PROJECTS];
    const [before, tried] = [others.map(reads), reads(cast.READ_KEYS)];
    await kit.until(() => reads(cast.READ_KEYS) > tried);
    expect(others.map(reads)).toEqual(before);
    await kit.saysNot(AWAY);
    api.answer();
    await kit.press("Retry", keys);
    await kit.until(() => !kit.isThere("alert", undefined, keys));
  });

  it.each(["/console/workflows", `/console/workflows/${cast.WORKFLOW}`])(
    "%s says why it does not say where it is live",
    async (path) => {
      const shown = kit.show(path);
      api.refuse(403, BUSY, cast.READ_APPS);
      await shown;
      const alert = await kit.waitFor(() => kit.alertWith("is live could not be read"));
      await kit.says(BUSY, alert);
      api.answer();
      await kit.press("Retry", alert);
      await kit.until(() => !alert.isConnected);
    },
  );

  it("unknown counts are not shown as zero", async () => {
    const shown = kit.show(`${APP}/history`);
    api.refuse(403, BUSY, cast.READ_FILTERS);
    await shown;
    await kit.settled();
    await user.click(
      [...document.querySelectorAll("summary")].find((each) => kit.textOf(each).startsWith("Status")) as Element,
    );
    const status = await kit.find("group", "Status");
    await kit.field(/Failed/, status);
    await kit.settled();
    expect(kit.textOf(status)).not.toContain("0");
  });

  it("the log is that of the container chosen last, even if another arrives later", async () => {
    const log = (query: cast.Query) =>
      one({ ...told(cast.READ_LOGS), lines: query.previous === "true" ? ["of the one before"] : ["of this one"] });
    const pods = { data: [{ ...first(cast.pods()), restarts: 2 }] };
    await kit.show(`${APP}/rollouts/${cast.ROW}`, cast.answer(cast.READ_PODS, pods), cast.answer(cast.READ_LOGS, log));
    api.hold(cast.READ_LOGS);
    await kit.press(/^Show the last 200 lines/);
    await kit.until(() => api.isHolding);
    await kit.press(/of the container before the last restart/);
    await kit.painted();
    api.letGo();
    await kit.says("of the one before", await kit.find("log"));
    await kit.settled();
    expect(kit.textOf(await kit.find("log"))).toBe("of the one before");
  });
});

describe("the frame", () => {
  it("shows the name of the only project", async () => {
    await kit.show("/console/");
    const top = await kit.find("banner");
    await kit.says("Project demo (production)", top);
    expect(kit.isThere("combobox", undefined, top)).toBe(false);
  });

  it("lets choose among several projects", async () => {
    const [project] = told(cast.READ_PROJECTS);
    const two = [project, { ...project, id: cast.uid(20), name: "other" }] as NonNullable<typeof project>[];
    await kit.show("/console/", cast.answer(cast.READ_PROJECTS, some(two)));
    const options = kit.optionsOf(await kit.find("combobox", "Project"));
    expect(options.map((each) => each.replace(/ \(.*/, ""))).toEqual(["All projects", "demo", "other"]);
  });

  it("gives each screen a title, announces it, and puts the focus on its heading", async () => {
    await kit.show("/console/");
    await kit.until(() => document.title === "Deployments · Dynamiq");
    await kit.press("Workflows");
    await kit.until(() => document.title.startsWith("Workflows"));
    await kit.isFocused(await kit.find("heading", "Workflows"));
  });

  it("moves no focus if the user has gone on before the heading arrives", async () => {
    await kit.show("/console/");
    await kit.settled();
    api.hold(cast.READ_APP);
    await user.click(document.querySelector(`main a[href="${APP}"]`) as Element);
    await kit.until(() => api.isHolding);
    const other = await kit.link("Workflows");
    other.focus();
    api.letGo();
    await kit.find("heading", "Customer support");
    await kit.painted();
    expect(document.activeElement).toBe(other);
  });

  it("keeps the focus on the tabs if the user goes from tab to tab", async () => {
    await kit.show(APP);
    await kit.settled();
    await kit.press("Triggers");
    await kit.until(() => document.title === "Triggers · Customer support · Dynamiq");
    await kit.says("Triggers · Customer support", document.querySelector(".frame > p.hidden-label") as HTMLElement);
    await kit.isFocused(await kit.link("Triggers"));
  });

  it("leads on from an address of no screen", async () => {
    await kit.show(`${APP}/nothing`);
    await kit.find("heading", "There is no such page");
    await kit.press("To the deployments");
    await kit.isFocused(await kit.find("heading", "Deployments"));
  });

  it("stays while the API is unavailable, and reads again when it is back", async () => {
    await kit.show(APP);
    await kit.says("Live: v2");
    api.isAway = true;
    await kit.press("Triggers");
    await kit.says(AWAY);
    await kit.press("Overview");
    await kit.says("Live: v2");
    api.isAway = false;
    dispatchEvent(new Event("online"));
    await kit.saysNot(AWAY);
  });

  it("shows that the API is unavailable if it is opened then, and recovers by itself", async () => {
    const shown = kit.show("/console/");
    api.refuse(503, "the cluster does not answer", "GET /console/session");
    await shown;
    await kit.waitFor(() => kit.alertWith("the cluster does not answer"));
    api.answer();
    await kit.find("heading", "Deployments");
  });

  it("offers no rollback without a target, and shows why", async () => {
    const reason = "support has run nothing but v2";
    await kit.show(APP, cast.answer(cast.READ_LAST_GOOD, cast.one({ deployment: null, reason, warnings: [] })));
    await kit.says(`There is no version to roll back to: ${reason}.`, document.body);
    expect(document.body.textContent).not.toContain("Roll back");
  });

  it("leads from the overview to the rollback of the last good row", async () => {
    await kit.show(APP);
    const back = await kit.link("Roll back to v2…");
    expect(back.getAttribute("href")).toMatch(/\/history\/[^/]+\/roll-back$/);
    await user.click(back);
    await kit.dialog("Roll back");
  });
});

describe("the sign-in", () => {
  it.each([null, { name: "The single sign-on of the northern region" }])(
    "waits for the cluster and keeps what is filled in: %o",
    async (oidc) => {
      const shown = kit.show("/console/sign-in?to=/console/workflows");
      api.session = { data: { ...api.session.data, user: null, expires_at: null, sign_in: { token: true, oidc } } };
      api.refuse(503, "The cluster cannot be reached now.", "GET /console/session");
      await shown;
      const alert = await kit.waitFor(() => kit.alertWith("The cluster does not answer at this moment"));
      await kit.says("The cluster cannot be reached now.", alert);
      api.answer();
      await kit.press("Retry");
      const token = await kit.write("Token", "a-token");
      expect(kit.isThere("link", /^Sign in with The single/)).toBe(oidc !== null);
      expect(await kit.findings()).toEqual([]);
      api.isAway = true;
      await kit.press(/^Sign in( with the token)?$/);
      await kit.says("The API does not answer.");
      expect(token.value).toBe("a-token");
    },
  );
});

describe("the list of deployments", () => {
  const WORDS = ["Live", "Live", "Asleep", "Failed", "Degraded"] as const;
  const many = Array.from({ length: 30 }, (_, at) => {
    const known = cast.appOfList(at + 100, {
      name: `App ${String(at).padStart(4, "0")}`,
      hostname: `app-${at}.example.com`,
    });
    const live = { ...(known.live as NonNullable<typeof known.live>), version: `v${(at % 12) + 1}` };
    return { ...known, live, status: { word: WORDS[at % 5] as (typeof WORDS)[number], reason: null, message: null } };
  });
  const rows = () => [...document.querySelectorAll("table tbody tr")];

  it("begins with the newest Apps of many, while the others are read", async () => {
    const every = Array.from({ length: 60 }, (_, at) => cast.appOfList(at + 200, { name: `App ${at}.` }));
    const page = ({ page_size }: cast.Query) => some(every.slice(0, Number(page_size)));
    const shown = kit.show("/console/?q=app", cast.answer(cast.READ_APPS, page));
    api.hold("GET /v1/apps?page_size=500&page=1");
    await shown;
    await kit.until(() => rows().length === 50);
    await kit.find("status", "Loading");
    await user.type(await kit.find("searchbox"), " 59.");
    await kit.until(() => rows().length === 0);
    expect(kit.isThere("heading", "No App matches"), "it may be among the others").toBe(false);
    api.letGo();
    await kit.until(() => rows().length === 1);
    expect(kit.isThere("status", "Loading")).toBe(false);
  });

  it("is searched as one types, and the address keeps it", async () => {
    await kit.show("/console/", cast.answer(cast.READ_APPS, some(many)));
    await kit.until(() => rows().length === 30);
    await user.type(await kit.find("searchbox"), "app-2");
    await kit.until(() => rows().length === 11);
    await kit.press(/^Failed/);
    await kit.until(() => rows().length === 2);
    await kit.isAt(/q=app-2/);
    await kit.isAt(/status=Failed/);
  });

  it("is sorted by the button of a column, and announces it", async () => {
    await kit.show("/console/", cast.answer(cast.READ_APPS, some(many)));
    const head = await kit.find("columnheader", /^Version/);
    for (const [sort, version] of [
      ["ascending", "v1"],
      ["descending", "v12"],
    ]) {
      await user.click(head.querySelector("button") as HTMLElement);
      await kit.has(head, "aria-sort", sort);
      await kit.until(
        () =>
          kit.textOf(rows()[0] as Element).includes(`${version}Live`) ||
          kit.textOf(rows()[0] as Element).includes(`${version}`),
      );
    }
    await kit.isAt("/console/?sort=-version");
  });

  it("names the next step where nothing is deployed", async () => {
    await kit.show("/console/", cast.answer(cast.READ_APPS, some([])));
    await kit.find("heading", "Nothing is deployed here yet");
    await kit.press("To the workflows");
    await kit.find("heading", "Workflows");
  });
});

it("the commands that call an App send the fields that its flow reads", async () => {
  const flow =
    "nodes:\n  in: {type: dynamiq.nodes.utils.Input}\n  ask:\n    input_transformer: {selector: {q: $.in.output.text}}\n";
  await kit.show(APP, cast.answerOfRow(cast.LIVE, { flow }));
  await kit.says('"text": "Hello?"', await kit.region("Call it"));
});

it.each(["/history", ""])("a service account is called by its name and namespace: %s", async (tab) => {
  await kit.show(tab ? `${APP}${tab}` : "/console/");
  const called = "argocd-application-controller (continuous-delivery-of-the-northern-region)";
  const [somebody] = await kit.screen.findAllByTitle(cast.SOMEBODY);
  expect(kit.textOf(somebody as Element)).toBe(called);
});
