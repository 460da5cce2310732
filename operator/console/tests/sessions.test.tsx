// @vitest-environment happy-dom
import { expect, it } from "vitest";
import * as cast from "./cast.ts";
import { one } from "./cast.ts";
import {
  callback,
  message,
  messagePage,
  OPEN_RUN,
  open,
  openPage,
  READ_OPEN_RUN,
  READ_RUN_EVENTS,
  session,
  sessionPage,
} from "./cast-runs.ts";
import { READ_OPEN_RUNS } from "./document.ts";
import * as kit from "./kit.tsx";
import { api } from "./kit.tsx";

const APP = `/console/apps/${cast.APP}`;
const SESSIONS = `${APP}/sessions`;
const RUN = `${APP}/runs/${OPEN_RUN}?open=true`;
const SEND = "POST /v1/apps/{app_id}/runs/{run_id}/callbacks";
const MARKUP = '<img src=x onerror="document.title=1"><a href="https://elsewhere.example.net">here</a>';
const ENDED = { status: "completed", state: "completed", ended_at: "2026-11-24T10:58:00Z" } as const;

const rowsOf = async (name: string, where?: HTMLElement) =>
  [...(await kit.find("table", name, where)).querySelectorAll("tbody tr")].map((row) =>
    [...row.children].map(kit.textOf),
  );

it("a session is listed with its begin, last turn, turns and first input, as plain text on one line", async () => {
  const input = { question: `${MARKUP}\n${"long ".repeat(100)}` };
  const page = sessionPage([
    session({ id: MARKUP, runs: 1204, failed: 2, input }),
    session({ input: null, failed: 0 }),
  ]);
  await kit.show(SESSIONS, cast.answer(cast.READ_SESSIONS, page));
  await kit.says("1,204");
  const [first = [], second = []] = await rowsOf("Sessions");
  expect(first.slice(0, 1)).toEqual([MARKUP]);
  expect(first[4]).toBe("1,204 2 failed");
  expect(first[5]).toMatch(/^<img .*long…?$|^<img .*…$/);
  expect(first[5]?.length).toBeLessThan(170);
  expect(second.slice(4)).toEqual(["3", "—"]);
  const table = await kit.find("table", "Sessions");
  expect(table.querySelectorAll("img, [href^=http]")).toHaveLength(0);
  expect(await kit.findings()).toEqual([]);
});

it("older sessions are on further pages, which have addresses of their own", async () => {
  const pages = (query: cast.Query) => {
    const page = Number(query.page);
    return sessionPage([session({ id: `session-${page}` })], page, 2);
  };
  await kit.show(SESSIONS, cast.answer(cast.READ_SESSIONS, pages));
  await kit.has(await kit.button("Newer"), "aria-disabled");
  await kit.press("Older");
  await kit.isAt(`${SESSIONS}?page=2`);
  await kit.says("session-2");
  await kit.has(await kit.button("Older"), "aria-disabled");
  await kit.press("session-2");
  await kit.isAt(`${SESSIONS}?page=2&session=session-2`);
  await kit.press("Close", await kit.dialog());
  await kit.isAt(`${SESSIONS}?page=2`);
  await kit.press("Newer");
  await kit.says("session-1");
});

it("a conversation shows its turns, oldest first, each with its row, its time and its trace", async () => {
  const id = "a/b?c=%2F <b>";
  const told = [
    message({ input: { question: MARKUP }, row: { sequence: 12, version: "v2" } }),
    message({ id: cast.uid(2), trace_id: cast.uid(2), output: null, row: null }),
  ];
  await kit.show(SESSIONS, {
    ...cast.answer(cast.READ_SESSIONS, sessionPage([session({ id })])),
    ...cast.answer(cast.READ_MESSAGES, messagePage(told)),
  });
  await kit.press(id);
  const dialog = await kit.dialog("Session");
  await kit.says(id, dialog);
  const turns = await kit.find("list", "Turns", dialog);
  const [first, second] = [...turns.children].map(kit.textOf);
  expect(first).toMatch(/^Turn 1v2 #12.*24 Nov(ember)? 2026/);
  expect(second).toMatch(/^Turn 2—/);
  expect(await kit.region("Input of turn 1", dialog).then(kit.textOf)).toBe(MARKUP);
  expect(kit.isThere("region", "Output of turn 2", dialog)).toBe(false);
  expect(turns.querySelectorAll("img, [href^=http]")).toHaveLength(0);
  expect((await kit.link("Trace of turn 2", dialog)).getAttribute("href")).toBe(`${APP}/runs/${cast.uid(2)}`);
  expect(api.calls(cast.READ_MESSAGES as never)[0]?.url).toContain(`/sessions/${encodeURIComponent(id)}/messages`);
  expect(await kit.findings()).toEqual([]);
});

it("later turns come on demand, and the keyboard goes on at the first of them", async () => {
  const second = message({ id: cast.uid(2), input: "And now?" });
  const pages = (query: cast.Query) => (query.cursor ? messagePage([second]) : messagePage([message()], "next"));
  await kit.show(`${SESSIONS}?session=s-1`, cast.answer(cast.READ_MESSAGES, pages));
  await kit.press("Show later turns", await kit.dialog());
  const more = await kit.find("list", "More turns");
  await kit.says("Turn 2", more);
  await kit.says("And now?", more);
  await kit.isFocused(more.firstElementChild as Element);
  expect(kit.isThere("button", "Show later turns")).toBe(false);
});

it("who may not see what was said is told so", async () => {
  await kit.show(`${SESSIONS}?session=s-1`, {
    ...cast.answer(cast.READ_RIGHTS, one(cast.rights("run_contents"))),
    ...cast.answer(cast.READ_MESSAGES, messagePage([message({ input: null, output: null })])),
  });
  await kit.says(/You may not see what was said: .*dynamiq/, await kit.dialog());
  await kit.says("Turn 1", await kit.dialog());
});

it("without a recorder the tab says so, and asks no more", async () => {
  const shown = kit.show(SESSIONS);
  api.refuse(501, "no recorder", cast.READ_SESSIONS, { code: "no_recorder" });
  await shown;
  await kit.says("No recorder is installed");
});

it("the history says how many conversations belong to a row, and no more once the journal has none", async () => {
  await kit.show(`${APP}/history`);
  const row = (sequence: number) =>
    kit.screen.findAllByRole("row").then((all) => all.map(kit.textOf).find((text) => text.includes(`#${sequence} `)));
  await kit.says("12 conversations, 3 of them active, last turn");
  expect(await row(cast.LIVE - 2)).toContain("3 conversations, last turn");
  expect(await row(cast.LIVE - 1)).not.toContain("conversation");
  api.says(cast.answer(cast.READ_CONVERSATIONS, { data: [] }));
  await kit.returned();
  await kit.saysNot("conversation");
});

it.each([
  ["an App has no conversation", 200, ""],
  ["there is no journal", 501, "no_journal"],
  ["the caller may not list runs", 403, "forbidden"],
])("nothing is said of conversations where %s", async (_, status, code) => {
  // What the preview of a deploy says of them is the API's own.
  const preview = cast.preview({ open_run_notes: [] });
  for (const path of ["/history", "/monitoring", "/deploy"]) {
    const shown = kit.show(APP + path, {
      ...cast.answer(cast.READ_CONVERSATIONS, { data: [] }),
      ...cast.answer(cast.PREVIEW, one(preview)),
    });
    if (code) api.refuse(status, "no", cast.READ_CONVERSATIONS, { code });
    await shown;
    await kit.settled();
    expect(kit.textOf(document.body)).not.toMatch(/conversation/i);
    expect(kit.isThere("alert")).toBe(false);
    kit.leave();
  }
});

it.each([200, 501])("Monitoring has conversations by row, also without a recorder (%i)", async (status) => {
  const unknown = cast.conversations(1, { sequence: null, row: null, deployment_id: null, last_turn: null, moved: 5 });
  const shown = kit.show(`${APP}/monitoring`, {
    ...cast.answer(cast.READ_CONVERSATIONS, { data: [cast.conversations(), unknown] }),
  });
  if (status === 501) api.refuse(501, "no recorder", cast.READ_METRICS, { code: "no_recorder" });
  await shown;
  const panel = await kit.region("Conversations");
  const cells = [...panel.querySelectorAll("tbody tr")].map((row) => [...row.children].map(kit.textOf));
  expect(cells[0]).toEqual([`v2 #${cast.LIVE}`, "12", "3", "0", expect.stringMatching(/ago/)]);
  expect(cells[1]).toEqual([unknown.pins, "12", "3", "5", "—"]);
  expect((await kit.link(`v2 #${cast.LIVE}`, panel)).getAttribute("href")).toBe(`${APP}/history/${cast.ROW}`);
  expect(await kit.findings()).toEqual([]);
});

it("a deploy takes conversations along where somebody says so", async () => {
  await kit.show(`${APP}/deploy`, cast.answer(cast.DEPLOY, one(cast.row(13))));
  const dialog = await kit.dialog();
  const box = await kit.find("checkbox", /Take conversations/, dialog);
  await kit.settled();
  expect(api.calls(cast.PREVIEW as never).at(-1)?.body).toMatchObject({ take_sessions: false });
  await kit.says(/kubectl dynamiq deploy/, dialog);
  expect(kit.textOf(dialog)).not.toContain("--take-sessions");
  await kit.user.click(box);
  await kit.says("--take-sessions", dialog);
  await kit.settled();
  expect(api.calls(cast.PREVIEW as never).at(-1)?.body).toMatchObject({ take_sessions: true });
  await kit.press("Deploy v2 to Customer support", dialog);
  await kit.until(() => api.calls().length > 0);
  expect(kit.sent()).toMatchObject({ take_sessions: true });
});

it("whoever deletes an App is told of its conversations", async () => {
  await kit.show(`${APP}/configuration`);
  await kit.press("Delete App");
  await kit.says("15 conversations that callers have open", await kit.dialog());
});

const withCallbacks = (...callbacks: ReturnType<typeof callback>[]) => open({ ...ENDED, callbacks });

it("callbacks show where to, how it went, and when they are tried again", async () => {
  const next_at = new Date(Date.now() + 90_000).toISOString();
  const error = "the certificate is not valid for hooks.example.com";
  const pending = callback({ n: 1, host: MARKUP, state: "pending", tries: 0, status: null, last_at: null, next_at });
  await kit.show(RUN, cast.answer(READ_OPEN_RUN, one(withCallbacks(callback({ error }), pending))));
  const dialog = await kit.dialog();
  const panel = await kit.region("Callbacks", dialog);
  const cells = [...panel.querySelectorAll("tbody tr")].map((row) => [...row.children].map(kit.textOf));
  expect(cells[0]?.slice(1)).toEqual([`Failed HTTP 500: ${error}`, "3", expect.stringMatching(/ago/), "—"]);
  expect(cells[1]?.[0]).toContain(MARKUP);
  expect(cells[1]?.slice(1)).toEqual(["Pending", "0", "—", expect.stringMatching(/^in 1 minute/)]);
  expect(panel.querySelectorAll("img, a")).toHaveLength(0);
  expect(await kit.findings()).toEqual([]);
});

it("a callback is sent again once that was confirmed; what was refused is said", async () => {
  const failed = withCallbacks(callback(), callback({ n: 1, host: "b.example.com" }));
  const pending = withCallbacks(callback(), callback({ n: 1, host: "b.example.com", state: "pending" }));
  await kit.show(RUN, { ...cast.answer(READ_OPEN_RUN, one(failed)), ...cast.answer(SEND, one(pending)) });
  const dialog = await kit.dialog();
  const again = "Send again… to b.example.com";
  await kit.press(again, dialog);
  expect(api.calls()).toEqual([]);
  expect(dialog.contains(document.activeElement)).toBe(true);
  await kit.press("Leave it", dialog);
  expect(dialog.contains(document.activeElement)).toBe(true);
  await kit.press(again, dialog);
  api.refuse(403, "you may not update runs of this App", SEND, { code: "forbidden" });
  await kit.press("Send it again", dialog);
  await kit.waitFor(() => kit.alertWith("It is not sent again. You may not update runs of this App", dialog));
  api.answer();
  api.says(cast.answer(READ_OPEN_RUN, one(pending)));
  await kit.press("Send it again", dialog);
  await kit.says("the callback to b.example.com is sent again");
  expect(api.calls().map(({ call, body }) => [call, body])).toEqual([
    [SEND, { n: 1 }],
    [SEND, { n: 1 }],
  ]);
  await kit.button(again, dialog);
  expect(await kit.findings()).toEqual([]);
});

it.each([
  ["the caller may not", ENDED, "runs_score", cast.ROLE],
  ["the run has not ended", {}, undefined, "its run has not ended"],
] as const)("nothing is sent again where %s", async (_, parts, right, says) => {
  await kit.show(RUN, {
    ...cast.answer(READ_OPEN_RUN, one(open({ ...parts, callbacks: [callback()] }))),
    ...(right && cast.answer(cast.READ_RIGHTS, one(cast.rights(right)))),
  });
  const button = await kit.button(/^Send again/, await kit.dialog());
  await kit.has(button, "aria-disabled");
  expect(kit.describes(button) + kit.textOf(button)).toContain(says);
});

it("a recorded run shows its callbacks, too, while the journal has it", async () => {
  await kit.show(`${APP}/runs/${cast.RUN}`, {
    ...cast.answer(READ_OPEN_RUN, one(withCallbacks(callback()))),
    ...cast.answer(READ_RUN_EVENTS, { data: [], ended: true }),
    [READ_OPEN_RUNS]: openPage([]),
  });
  await kit.region("Callbacks", await kit.dialog());
});
