// @vitest-environment happy-dom
import { expect, it } from "vitest";
import * as cast from "./cast.ts";
import { one } from "./cast.ts";
import { events, OPEN_RUN, open, openPage, READ_OPEN_RUN, READ_RUN_EVENTS } from "./cast-runs.ts";
import { READ_OPEN_RUNS } from "./document.ts";
import * as kit from "./kit.tsx";
import { api } from "./kit.tsx";

const RUNS = `/console/apps/${cast.APP}/runs`;
const RUN = `${RUNS}/${OPEN_RUN}`;
const SHORT = OPEN_RUN.slice(0, 8);
const CANCEL = "POST /v1/apps/{app_id}/runs/{run_id}/cancel";
const SECTION = "Background runs";
const UNKNOWN = "Background runs are unknown: the journal does not answer";

it("open runs are above the recorded ones, with version, node, age and attempts", async () => {
  await kit.show(RUNS);
  const table = await kit.find("table", undefined, await kit.region(SECTION));
  const cells = () => [...table.querySelectorAll("tbody tr")].map((row) => [...row.children].map(kit.textOf));
  await kit.until(() => cells()[0]?.[1] === "v2");
  expect(cells()[0]).toEqual([`Started ${SHORT}`, "v2", cast.UNBROKEN, expect.stringMatching(/ago/), "1"]);
  expect(cells()[1]).toEqual([expect.stringMatching(/^Created /), "—", "—", expect.stringMatching(/ago/), "1"]);
  await kit.says("2 open", await kit.region(SECTION));
  expect(api.calls(READ_OPEN_RUNS as never)[0]?.query).toEqual({ open: "true", page_size: "100" });
});

it("only the newest are listed of more than a page", async () => {
  await kit.show(RUNS, { [READ_OPEN_RUNS]: openPage([open()], 1204) });
  await kit.says("1,204 open, the newest 1 are here", await kit.region(SECTION));
});

it.each([
  ["no run is open", 200, "", ""],
  ["there is no journal", 501, "install a journal", "no_journal"],
  ["the caller may not read runs", 403, "you may not", "forbidden"],
])("there is no section where %s", async (_, status, says, code) => {
  const shown = kit.show(RUNS, { [READ_OPEN_RUNS]: openPage([]) });
  if (code) api.refuse(status, says, READ_OPEN_RUNS, { code });
  await shown;
  await kit.says(cast.RUN.slice(0, 8));
  await kit.settled();
  expect(kit.isThere("region", SECTION)).toBe(false);
  expect(kit.isThere("alert")).toBe(false);
  expect(kit.textOf(document.body)).not.toContain("ackground");
});

it("a line says that the journal does not answer, until it does", async () => {
  const shown = kit.show(RUNS);
  api.refuse(503, "the journal does not answer", READ_OPEN_RUNS, { code: "unavailable" });
  await shown;
  await kit.says(UNKNOWN);
  await kit.says(cast.RUN.slice(0, 8));
  expect(kit.isThere("alert")).toBe(false);
  expect(await kit.findings()).toEqual([]);
  api.answer();
  await kit.region(SECTION);
  await kit.saysNot(UNKNOWN);
});

it("a run shows its events as they come, until it ends, and then what was recorded of it", async () => {
  const told = events(["run.accepted"], ["node.started", { id: "answer" }]);
  let ended = false;
  const done = {
    status: "completed",
    ended_at: "2026-11-24T10:58:00Z",
    output: { answer: "<b>On Monday</b>" },
  } as const;
  await kit.show(RUNS, {
    ...cast.answer(READ_RUN_EVENTS, (query) => ({ data: told.slice(Number(query.after)), ended })),
    ...cast.answer(READ_OPEN_RUN, () => one(open(ended ? done : {}))),
  });
  await kit.press(SHORT);
  await kit.isAt(`${RUN}?open=true`);
  const dialog = await kit.dialog(`Run ${SHORT}`);
  const log = await kit.region("Events", dialog);
  const types = () => kit.within(log).queryAllByRole("rowheader").map(kit.textOf);
  await kit.until(() => types().length === 2);
  expect(types()).toEqual(["node.started", "run.accepted"]);
  told.push({ ...told[1], sequence: 3, type: "node.output.delta", data: { text: "On" } } as (typeof told)[0]);
  told.push({ ...told[1], sequence: 4, type: "run.completed", data: {} } as (typeof told)[0]);
  ended = true;
  await kit.until(() => types().length === 3);
  expect(types()[0]).toBe("run.completed");
  await kit.says("<b>On Monday</b>", await kit.region("Output of the run", dialog));
  expect(kit.isThere("button", "Cancel…", dialog)).toBe(false);
  await kit.settled();
  expect(api.calls(READ_RUN_EVENTS).at(-1)?.query.after).toBe("2");
  await kit.press("Nodes, tokens and cost", dialog);
  await kit.find("table", "Nodes", dialog);
  expect(await kit.findings()).toEqual([]);
});

it("a run that the journal deleted is shown as it was recorded", async () => {
  const shown = kit.show(`${RUN}?open=true`);
  api.refuse(404, "there is no such run", READ_OPEN_RUN, { code: "not_found" });
  await shown;
  await kit.find("table", "Nodes", await kit.dialog());
});

it("inputs and errors are shown as far as the API has them", async () => {
  const failed = { status: "failed", ended_at: "2026-11-24T10:58:00Z", input: null } as const;
  const error = { code: "interrupted", message: null, details: null };
  await kit.show(`${RUN}?open=true`, cast.answer(READ_OPEN_RUN, one(open({ ...failed, error }))));
  await kit.says("interrupted", await kit.dialog());
  expect(kit.isThere("region", /put of the run/)).toBe(false);
});

it.each([
  ["at its next node", { cancel_requested: true }, "it ends at its next node"],
  ["at once", { status: "canceled", ended_at: "2026-11-24T10:58:00Z" }, "canceled"],
] as const)("a run is canceled %s, once that was confirmed", async (_, parts, says) => {
  await kit.show(`${RUN}?open=true`, cast.answer(CANCEL, one(open(parts))));
  const dialog = await kit.dialog();
  await kit.press("Cancel…", dialog);
  expect(api.calls()).toEqual([]);
  await kit.press("Keep it", dialog);
  await kit.press("Cancel…", dialog);
  api.says(cast.answer(READ_OPEN_RUN, one(open(parts))));
  await kit.press("Cancel this run", dialog);
  await kit.says(`Run ${SHORT}: ${says}`);
  expect(api.calls().map(({ call }) => call)).toEqual([CANCEL]);
  if ("cancel_requested" in parts) await kit.has(await kit.button("Cancel…", dialog), "aria-disabled");
  else await kit.until(() => !kit.isThere("button", "Cancel…", dialog));
});
