// @vitest-environment happy-dom
import { expect, it } from "vitest";
import * as cast from "./cast.ts";
import { one } from "./cast.ts";
import type { Call } from "./document.ts";
import * as kit from "./kit.tsx";
import { api, user } from "./kit.tsx";

const APP = `/console/apps/${cast.APP}`;
const RUNS = `${APP}/runs`;
const RUN = `${RUNS}/${cast.RUN}`;
const SCORE = "POST /v1/runs/{run_id}/scores";

/** What the list was asked for last. */
const asked = () => api.calls(cast.READ_RUNS).at(-1)?.query;
/** Writes a filter, which counts when its field is left. */
async function filter(label: string, text: string): Promise<void> {
  await kit.write(label, text, document.querySelector("search") as HTMLElement);
  await user.tab();
}
const opens = async (summary: string) => user.click(await kit.text(summary));

it("filters are in the address and in the request to the recorder", async () => {
  await kit.show(RUNS);
  await kit.settled();
  await opens("Status");
  for (const status of [/^Failed/, /^Timed out/]) await user.click(await kit.field(status));
  await kit.isAt(/status=failed%2Ctimed_out/);
  await kit.choose("Row", `#${cast.LIVE}`);
  const row = ((await kit.field("Row")) as unknown as HTMLSelectElement).value;
  await kit.until(() => asked()?.deployment_id);
  expect(asked()).toMatchObject({ deployment_id: row });
  await kit.press("Clear");
  await kit.isAt(RUNS);
  await opens("More");
  for (const [label, text] of [
    ["Session", "session-3"],
    ["User", "anna"],
    ["Took at least (ms)", "300"],
  ] as const)
    await filter(label, text);
  const wanted = { session_id: "session-3", user_id: "anna", min_duration_ms: "300" };
  await kit.isAt(`${RUNS}?${new URLSearchParams(wanted)}`);
  await kit.until(() => asked()?.min_duration_ms);
  expect(asked()).toMatchObject(wanted);
});

it("filters of an address are sent to the recorder, errors are searched and the slowest come first", async () => {
  const found = (query: cast.Query) => cast.pageOfRuns(query.error === "no such error" ? [] : [cast.aRun()]);
  await kit.show(`${RUNS}?status=failed%2Ctimed_out&session_id=session-3`, cast.answer(cast.READ_RUNS, found));
  await kit.until(() => asked()?.session_id);
  expect(asked()).toMatchObject({ session_id: "session-3" });
  expect(api.calls(cast.READ_RUNS).at(-1)?.url).toMatch(/status=failed(%2C|&status=)timed_out/);
  await filter("Error", "no such error");
  await kit.find("heading", "No run fits these filters");
  expect(asked()).toMatchObject({ error: "no such error" });
  await kit.press("Clear the filters");
  await kit.says("1 run");
  await kit.choose("Newest first", "Slowest first");
  await kit.until(() => asked()?.sort === "-duration_ms");
});

it("a list in another order is read again by itself where its first page had no answer", async () => {
  await kit.show(RUNS, cast.answer(cast.READ_RUNS, cast.pageOfRuns([cast.aRun()])));
  api.refuse(503, "the recorder does not answer", cast.READ_RUNS, { code: "unavailable" });
  await kit.choose("Newest first", "Slowest first");
  await kit.says("the recorder does not answer");
  api.answer();
  await kit.says("1 run");
});

it("without a recorder each tab of runs shows it and the others are as they were", async () => {
  const reads: Call[] = [cast.READ_RUNS, cast.READ_METRICS, cast.READ_VERDICTS];
  for (const tab of ["runs", "monitoring", "history"]) {
    const shown = kit.show(`${APP}/${tab}`);
    for (const call of reads) api.refuse(501, "No recorder is installed.", call, { code: "no_recorder" });
    await shown;
    if (tab !== "history") await kit.find("heading", "No recorder is installed");
    else await kit.says(`#${cast.LIVE}`);
    await kit.settled();
    expect(kit.isThere("alert")).toBe(false);
    expect(await kit.findings()).toEqual([]);
    if (tab !== "history") kit.leave();
  }
  await kit.until(() => api.calls(cast.READ_VERDICTS).length > 0);
  const nav = await kit.find("navigation", "App");
  await kit.press("Overview", nav);
  await kit.press("History", nav);
  await kit.says(`#${cast.LIVE}`);
  await kit.settled();
  expect(kit.isThere("alert")).toBe(false);
  expect(api.calls(cast.READ_VERDICTS).length).toBe(1);
});

it("pods older than the recorder are shown", async () => {
  const message = "2 pods are older than the recorder: they are recorded once they restart.";
  const condition = { type: "Recorded", status: "False", reason: "PodsNotRestarted", message, since: null } as const;
  const app = cast.app();
  await kit.show(
    RUNS,
    cast.answer(cast.READ_APP, one({ ...app, conditions: [condition] })),
    cast.answer(cast.READ_RUNS, cast.pageOfRuns([])),
  );
  await kit.find("heading", "No run is recorded yet");
  await kit.says(message, await kit.region("Runs"));
});

it("a run shows the duration of each node", async () => {
  const run = cast.wholeRun();
  await kit.show(RUN, cast.answer(cast.READ_RUN, one(run)));
  const dialog = await kit.dialog(`Run ${cast.RUN.slice(0, 8)}`);
  await kit.has(await kit.link("v2 #2", dialog), "href", `${APP}/history/${run.deployment_id}`);
  const nodes = await kit.find("table", "Nodes", dialog);
  const headers = () => kit.within(nodes).getAllByRole("rowheader").map(kit.textOf);
  const names = ["classify", "retrieve", "embed", "search", "translate", "summarize"];
  expect(headers().map((text, at) => text.includes(names[at] as string))).toEqual(names.map(() => true));
  expect(headers()[3]).toContain("Level 2");
  const lanes = [...nodes.querySelectorAll<HTMLElement>(".bar")].map((bar) => Number.parseFloat(bar.style.left));
  expect(lanes).toEqual([...lanes].sort((one, other) => one - other));
  await kit.press("What ran in retrieve", nodes);
  await kit.until(() => headers().length === names.length - 2);
  await kit.press("summarize", nodes);
  const node = await kit.region("Node summarize", dialog);
  await kit.says("2 attempts", node);
  await kit.says("summarize: the model did not answer in 30 s", node);
  await kit.has(await kit.link("Trace (JSON)", dialog), "href", `/v1/runs/${cast.RUN}/trace`);
  await kit.press("session-0", dialog);
  await kit.isAt(`${RUNS}?session_id=session-0`);
  await kit.until(() => !kit.isThere("dialog"));
});

it("inputs and outputs are shown on request, or the reason why there are none", async () => {
  const content = (query: cast.Query) =>
    one(cast.wholeRun(query.include ? { content: "included", input: "When does my invoice come?" } : {}));
  await kit.show(RUN, cast.answer(cast.READ_RUN, content));
  await kit.find("table", "Nodes");
  await kit.settled();
  expect(kit.isThere("region", "Input of the run")).toBe(false);
  expect(api.calls(cast.READ_RUN).some(({ query }) => query.include)).toBe(false);
  await kit.press("Show inputs and outputs");
  await kit.says("When does my invoice come?", await kit.region("Input of the run"));
  await kit.press("classify");
  await kit.says("billing", await kit.region("Output of classify"));
  expect(await kit.findings()).toEqual([]);
  for (const [state, says] of [
    ["not_recorded", "are not recorded"],
    ["denied", "You may not see inputs and outputs"],
  ] as const) {
    kit.leave();
    await kit.show(RUN, cast.answer(cast.READ_RUN, one(cast.wholeRun({ content: state }))));
    await kit.says(says, await kit.dialog());
  }
});

it("a run is scored and deleted", async () => {
  await kit.show(RUNS, cast.answer(SCORE, one(cast.first(cast.wholeRun().scores))));
  await kit.press(cast.RUN.slice(0, 8));
  const dialog = await kit.dialog();
  await kit.write("Comment", "Very polite", dialog);
  const read = api.calls(cast.READ_RUN).length;
  await kit.press("Good", dialog);
  await kit.until(() => api.calls(cast.READ_RUN).length > read);
  expect(kit.sent()).toEqual({ name: "thumbs", value: 1, comment: "Very polite" });
  await kit.write("Name of the score", "helpful", dialog);
  await user.type(await kit.write("Value", "0.8", dialog), "{Enter}");
  await kit.until(() => api.calls(SCORE).length === 2);
  expect(kit.sent()).toEqual({ name: "helpful", value: 0.8 });
  await kit.press("Delete…", dialog);
  await kit.press("Delete this run", dialog);
  await kit.until(() => !kit.isThere("dialog"));
  expect(api.calls("DELETE /v1/runs/{run_id}").map(({ url }) => url)).toEqual([
    expect.stringContaining(`/v1/runs/${cast.RUN}`),
  ]);
  await kit.until(() => !kit.isThere("link", cast.RUN.slice(0, 8)));
});

it.each([
  ["an hour", 1, "1 h", "minute"],
  ["a week", 168, "24 h", "hour"],
])("the monitoring of an App that is %s old opens on a time that it fills", async (_, hours, range, interval) => {
  const created_at = new Date(Date.now() - hours * 3_600_000).toISOString();
  await kit.show(`${APP}/monitoring`, cast.answer(cast.READ_APP, one(cast.app({ created_at }))));
  await kit.until(() => api.calls(cast.READ_METRICS).length > 0);
  expect(api.calls(cast.READ_METRICS)[0]?.query.interval).toBe(interval);
  expect(((await kit.find("radio", range)) as HTMLInputElement).checked).toBe(true);
});

it("marks of deploys that are near each other lead to all of them, and the table to each", async () => {
  const HOUR = 3_600_000;
  const at = (minutes: number) => new Date(Math.floor(Date.now() / HOUR) * HOUR - minutes * 60_000).toISOString();
  const live = (sequence: number, minutes: number) =>
    cast.row(sequence, {
      ...{ status: "Superseded", is_live: false, reason: null, duration_seconds: 1 },
      created_at: at(minutes),
    });
  const rows = [live(9, 200), live(8, 210), live(7, 220), live(6, 1_000)];
  await kit.show(
    `${APP}/monitoring?range=24+h`,
    cast.answer(cast.READ_ROWS, cast.some(rows)),
    cast.answer(cast.READ_METRICS, (query) => {
      const made = cast.metrics();
      return one({ ...made, since: query.from ?? at(23 * 60), until: new Date().toISOString(), interval: "hour" });
    }),
  );
  const chart = (await kit.screen.findByRole("heading", { name: "Invocations" })).closest("figure") as HTMLElement;
  const links = [...chart.querySelectorAll(".plot a")].map((link) => [kit.textOf(link), link.getAttribute("href")]);
  const all = new URLSearchParams({ since: at(220), until: at(200).replace(":00.000", ":01.000") });
  expect(links).toEqual([
    ["Deploy #6", `${APP}/history/${rows[3]?.id}`],
    ["Deploys #7–#9", `${APP}/history?${all}`],
  ]);
  await user.click(await kit.text(/^Show as table/, chart));
  for (const { id, sequence } of rows)
    expect((await kit.link(`#${sequence}`, chart)).getAttribute("href")).toBe(`${APP}/history/${id}`);
});
