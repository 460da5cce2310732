// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import * as cast from "./cast.ts";
import { one } from "./cast.ts";
import {
  asked,
  OPEN_RUN,
  open,
  openPage,
  parts,
  question,
  questions,
  READ_OPEN_RUN,
  READ_QUESTIONS,
} from "./cast-runs.ts";
import { READ_OPEN_RUNS } from "./document.ts";
import * as kit from "./kit.tsx";
import { api, user } from "./kit.tsx";

const RUNS = `/console/apps/${cast.APP}/runs`;
const SHORT = OPEN_RUN.slice(0, 8);
const ANSWER = "POST /v1/apps/{app_id}/runs/{run_id}/input";
const SECTION = "Waiting for a person";
const HIDDEN = "\u202e";
const PAY = question({
  prompt: `Pay **40** euros?\n   <a href="https://example.com">here</a>, https://example.com${HIDDEN}`,
  params: { amount: 40, reason: "It was late", account: { iban: `DE${HIDDEN}1` } },
  editable_params: ["amount", "reason"],
});

/** Shows questions, and a run with the pins of the first one. */
async function shown(asks: ReturnType<typeof question>[], ...more: cast.Answers[]): Promise<HTMLElement> {
  await kit.show(
    RUNS,
    {
      [READ_OPEN_RUNS]: openPage([open({ pins: PAY.pins, state: "waiting", status: "paused", awaiting_input: true })]),
    },
    cast.answer(READ_QUESTIONS, questions(asks)),
    cast.answer(ANSWER, one(open())),
    ...more,
  );
  return kit.region(SECTION);
}

/** The same, with the form of the first question open. */
async function opened(...given: Parameters<typeof shown>): Promise<HTMLElement> {
  const section = await shown(...given);
  await kit.press(/^Answer…/, section);
  return section;
}

/** The question is answered now: no list has it any more. */
const noMore = () => api.says(cast.answer(READ_QUESTIONS, questions([])));

it("an open question is above the runs, with row, node, age and its text as it is", async () => {
  const section = await shown([PAY]);
  await kit.says("1 open", section);
  await kit.until(() => section.querySelector("li p")?.textContent?.startsWith("v2"));
  await kit.says(/approve ?run 5f0c2b1e ?asked .* ago/, section);
  const prompt = await kit.region(`Question approve:1 of run ${SHORT}`, section);
  expect(prompt.textContent).toBe(PAY.prompt?.replace(HIDDEN, "U+202E"));
  expect(prompt.querySelectorAll("a, b, strong")).toHaveLength(0);
  expect(kit.textOf(prompt.querySelector(".hidden-character") as Element)).toBe("U+202E");
  await kit.says("waits for a person", await kit.region("Background runs"));
  expect(await kit.findings()).toEqual([]);
  await kit.press(SHORT, section);
  await kit.isAt(`${RUNS}/${OPEN_RUN}?open=true`);
});

it("an approval shows its params, and sends those that were changed", async () => {
  const section = await opened([PAY]);
  await kit.says('account{ "iban": "DEU+202E1" }', section);
  expect(kit.isThere("textbox", "account", section)).toBe(false);
  const amount = await kit.write("amount", "twenty", section);
  await kit.has(amount, "aria-invalid");
  await kit.has(await kit.button(/^Approve/, section), "aria-disabled");
  await kit.write("amount", "20", section);
  await kit.write("Reason (optional)", "Half of it", section);
  expect(await kit.findings()).toEqual([]);
  noMore();
  api.says({ [READ_OPEN_RUNS]: openPage([open()]) });
  await kit.press("Approve", section);
  await kit.says(`Your answer is taken: run ${SHORT} goes on`);
  expect(kit.sent()).toEqual({
    type: "approval_request",
    data: { request_id: "approve:1", is_approved: true, feedback: "Half of it", data: { amount: 20 } },
  });
  await kit.until(() => !kit.isThere("region", SECTION));
  await kit.saysNot("waits for a person");
  await kit.until(() => document.activeElement?.tagName === "H1");
});

it("Enter never approves, and a denial has its reason", async () => {
  const section = await opened([PAY]);
  for (const label of ["amount", "reason", "Reason (optional)"]) {
    (await kit.field(label, section)).focus();
    await user.keyboard("{Enter}");
  }
  expect(section.querySelector("form, [type=submit]")).toBe(null);
  expect(api.calls()).toEqual([]);
  await kit.write("Reason (optional)", "Too much", section);
  await kit.press("Deny", section);
  await kit.until(() => api.calls(ANSWER).length > 0);
  expect(kit.sent()).toMatchObject({ data: { is_approved: false, feedback: "Too much" } });
});

it("a question is answered by a text, with its blanks", async () => {
  const section = await opened([asked(), PAY]);
  const send = await kit.button(/^Send the answer/, section);
  await kit.has(send, "aria-disabled");
  await kit.write("Your answer", "  The first\nof them", section);
  api.says({
    ...cast.answer(ANSWER, one(open({ questions_open: 1 }))),
    ...cast.answer(READ_QUESTIONS, questions([PAY])),
  });
  await kit.press("Send the answer", section);
  await kit.says("still waits for 1 answer");
  expect(kit.sent()).toEqual({
    type: "human_feedback",
    data: { request_id: "ask:1", feedback: "  The first\nof them" },
  });
  await kit.isFocused(await kit.find("heading", /^Waiting/, section));
});

it("several questions are answered by choices and a text of one's own", async () => {
  const section = await opened([asked({ questions: parts() })]);
  const tone = await kit.find("group", /^Tone/, section);
  await kit.press(/^Kind/, tone);
  await kit.press("Other", tone);
  await kit.write(/^Your own answer/, "As you like", tone);
  expect(await kit.findings()).toEqual([]);
  await kit.has(await kit.button(/^Send the answer/, section), "aria-disabled");
  await kit.press("Sales", section);
  await kit.press("Law", section);
  await kit.press("Send the answer", section);
  await kit.until(() => api.calls(ANSWER).length > 0);
  expect(kit.sent()).toMatchObject({
    data: {
      answers: [
        { question_id: "tone", selected: [], custom_text: "As you like" },
        { question_id: "copies", selected: ["Sales", "Law"] },
      ],
    },
  });
});

it("one of several questions without options is answered by a text", async () => {
  const section = await opened([
    asked({
      questions: parts()
        .slice(1)
        .map((each) => ({ ...each, options: null })),
    }),
  ]);
  await kit.write("Your own answer", "Sales", section);
  await kit.press("Send the answer", section);
  await kit.until(() => api.calls(ANSWER).length > 0);
  const answers = [{ question_id: "copies", selected: [], custom_text: "Sales" }];
  expect(kit.sent()).toMatchObject({ data: { answers } });
});

describe("an answer that is refused", () => {
  it.each([
    [409, "already_answered", "Somebody else answered this question."],
    [403, "forbidden", "You may not answer it: that takes update on apps/runcontents."],
    [409, "run_ended", "The answer was not taken."],
    [422, "validation_error", "The answer was not taken."],
  ])("with %i %s says so, and keeps what was filled in", async (status, code, says) => {
    const section = await opened([PAY]);
    const reason = await kit.write("Reason (optional)", "Half of it", section);
    api.refuse(status, "in the API's words", ANSWER, { code });
    if (code === "already_answered") noMore();
    await kit.press("Approve", section);
    await kit.says("In the API's words", await kit.waitFor(() => kit.alertWith(says, section)));
    await kit.settled();
    expect(kit.within(section).getAllByRole("alert")).toHaveLength(1);
    expect(reason.isConnected && reason.value).toBe("Half of it");
    await kit.press(/^Close/, section);
    if (code === "already_answered") await kit.until(() => !kit.isThere("region", SECTION));
    else await kit.button(/^Answer…/, section);
  });
});

it("a question that somebody else answers stays while its form is open", async () => {
  const section = await opened([PAY]);
  await kit.write("Reason (optional)", "Half of it", section);
  noMore();
  await kit.returned();
  await kit.says("This question is no longer open", section);
  await kit.field("Reason (optional)", section);
});

it("who may not read what runs are given sees that a question waits, and nothing of it", async () => {
  const nothing = { prompt: null, params: null, questions: null, editable_params: [] };
  const without = cast.answer(cast.READ_RIGHTS, one(cast.rights("run_contents", "runs_answer")));
  const section = await shown([question(nothing)], without);
  await kit.says(`You may not see what it asks: ${"create deployments"}`, section);
  expect(kit.isThere("button", undefined, section)).toBe(false);
  expect(await kit.findings()).toEqual([]);
});

it("who may read and not answer sees the question, and which role is missing", async () => {
  const section = await opened([PAY], cast.answer(cast.READ_RIGHTS, one(cast.rights("runs_answer"))));
  for (const name of [/^Approve/, /^Deny/]) {
    const button = await kit.button(name, section);
    await kit.has(button, "aria-disabled");
    expect(kit.describes(button)).toContain(cast.ROLE);
  }
});

it("whose right to list runs ends sees no question any more", async () => {
  await shown([PAY]);
  api.refuse(403, "you may not", READ_QUESTIONS, { code: "forbidden" });
  await kit.returned();
  await kit.until(() => !kit.isThere("region", SECTION));
  expect(kit.textOf(await kit.link("Runs"))).toBe("Runs");
});

describe("the tab of an App's runs", () => {
  it("says on every screen how many questions wait", async () => {
    await kit.show(`/console/apps/${cast.APP}`, cast.answer(READ_QUESTIONS, questions([PAY], 1204)));
    await kit.link("Runs (1,204 open questions)");
  });

  it.each([
    [501, "no_journal"],
    [403, "forbidden"],
    [503, "unavailable"],
  ])("says nothing of them where the API answers %i", async (status, code) => {
    const shown = kit.show(RUNS);
    api.refuse(status, "not now", READ_QUESTIONS, { code });
    await shown;
    await kit.says(cast.RUN.slice(0, 8));
    await kit.settled();
    expect(kit.textOf(await kit.link("Runs"))).toBe("Runs");
    expect(kit.isThere("region", SECTION)).toBe(false);
  });
});

describe("a held run", () => {
  const held = { state: "held", status: "paused", hold_reason: "Rejected" } as const;
  const list = (parts: Parameters<typeof open>[0]) => ({
    ...{ [READ_OPEN_RUNS]: openPage([open(parts)]) },
    ...cast.answer(READ_OPEN_RUN, one(open(parts))),
    ...cast.answer(READ_QUESTIONS, questions([])),
  });

  it.each([
    ["Restart", held, "it goes on"],
    ["Cancel", held, "canceled"],
    ["Release", { ...held, hold_reason: "ImageMissing" }, "it goes on"],
  ])("says why, and takes %s once that was confirmed", async (does, parts, says) => {
    const call =
      `POST /v1/apps/{app_id}/runs/{run_id}/${does.toLowerCase()}` as "POST /v1/apps/{app_id}/runs/{run_id}/restart";
    const after = does === "Cancel" ? ({ status: "canceled", ended_at: "2026-11-24T10:58:00Z" } as const) : {};
    await kit.show(RUNS, list(parts), cast.answer(call, one(open(after))));
    const section = await kit.region("Background runs");
    await kit.says(`held: ${parts.hold_reason}`, section);
    expect(kit.isThere("link", /^Release/, section)).toBe(does === "Release");
    expect(await kit.findings()).toEqual([]);
    await kit.press(new RegExp(`^${does}…`), section);
    const dialog = await kit.dialog(`Run ${SHORT}`);
    await kit.says(`held: ${parts.hold_reason}`, dialog);
    expect(api.calls()).toEqual([]);
    await kit.press("Keep it", dialog);
    await kit.press(`${does}…`, dialog);
    api.says(list(after));
    await kit.press(`${does} this run`, dialog);
    await kit.says(`Run ${SHORT}: ${says}`);
    expect(api.calls().map((each) => each.call)).toEqual([call]);
    await kit.until(() => !kit.isThere("button", "Restart…", dialog));
  });

  it("cannot be restarted by who may not change runs", async () => {
    await kit.show(RUNS, list(held), cast.answer(cast.READ_RIGHTS, one(cast.rights("runs_score"))));
    const button = await kit.button(/^Restart…/, await kit.region("Background runs"));
    await kit.has(button, "aria-disabled");
    expect(kit.describes(button)).toContain(cast.ROLE);
  });
});

it("a run that waits for a time says until when", async () => {
  const waits = { state: "waiting", status: "paused", resume_at: "2026-12-24T08:00:00Z" } as const;
  await kit.show(RUNS, { [READ_OPEN_RUNS]: openPage([open(waits)]) });
  await kit.says(/waits until 24 Dec 2026, \d\d:00:00/, await kit.region("Background runs"));
});
