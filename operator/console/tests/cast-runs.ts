/** Runs of the App, whose shapes are the recorder's: a list, one with its nodes, figures, and a comparison of two rows. */
import type { Schemas } from "../src/pure/shapes.ts";
import { READ_OPEN_RUNS, told } from "./document.ts";

export const READ_OPEN_RUN = "GET /v1/apps/{app_id}/runs/{run_id}";
export const READ_RUN_EVENTS = "GET /v1/apps/{app_id}/runs/{run_id}/events";
export const READ_QUESTIONS = "GET /v1/apps/{app_id}/questions";
export const OPEN_RUN = told(READ_OPEN_RUN).id;
export const RUN = "28189231-788e-51ad-b0bc-a57a4d6dd953";
const [APP, ROW, OLDER] = ["3d5626ad", "d5c46970", "2b16ee76"].map((each) => `${each}-7fe4-5c0b-95e9-77a4ed2fb255`) as [
  string,
  string,
  string,
];
const BEGAN = "2026-11-24T10:57:00.000000Z";
/** The flow of rows of the example. */
const FLOW = told("GET /v1/apps/{app_id}/deployments")[0]?.flow_hash ?? null;
const tokens = { input_tokens: 900, output_tokens: 120, cache_read_tokens: 300, cache_write_tokens: 0 };

/** A run of a list. */
export const run = (parts: Partial<Schemas["RunSummary"]> = {}): Schemas["RunSummary"] => ({
  ...tokens,
  ...{ id: RUN, app_id: APP, deployment_id: ROW, sequence: 2, workflow_version: "v2" },
  ...{ status: "succeeded", reason: null, source: "runtime", trigger: null, error: null },
  ...{ session_id: "session-0", user_id: "anna", tags: ["beta"] },
  ...{
    started_at: BEGAN,
    ended_at: "2026-11-24T10:57:00.763650Z",
    duration_ms: 763.65,
    busy_ms: null,
    first_chunk_ms: 254.55,
  },
  ...{ cost_usd: 0.00465, unpriced_calls: 0, models: ["gpt-4o-mini", "claude-sonnet-4"], node_count: 6 },
  ...parts,
});

/** A background run, which has begun. */
export const open = (parts: Partial<Schemas["BackgroundRun"]> = {}): Schemas["BackgroundRun"] => ({
  ...told(READ_OPEN_RUN),
  ...{ app_id: APP, workflow_hash: FLOW, accepted_at: BEGAN, attempts: 1, output: null },
  ...parts,
});

/** A callback of it, which failed. */
export const callback = (parts: Partial<Schemas["RunCallback"]> = {}): Schemas["RunCallback"] => ({
  ...{ n: 0, host: "hooks.example.com", state: "failed", tries: 3, status: 500, error: null },
  ...{ last_at: BEGAN, next_at: null },
  ...parts,
});

/** A session of a list. */
export const session = (parts: Partial<Schemas["SessionSummary"]> = {}): Schemas["SessionSummary"] => ({
  ...(told("GET /v1/apps/{app_id}/sessions")[0] as Schemas["SessionSummary"]),
  ...parts,
});

/** What was asked and answered in one turn. */
export const message = (parts: Partial<Schemas["SessionMessage"]> = {}): Schemas["SessionMessage"] => ({
  ...(told("GET /v1/apps/{app_id}/sessions/{session_id}/messages")[0] as Schemas["SessionMessage"]),
  ...parts,
});

/** Sessions of one of some pages. */
export const sessionPage = (data: Schemas["SessionSummary"][], page = 1, page_count = 1): Schemas["SessionPage"] => ({
  data,
  pagination: { page, page_size: 50, page_count, total_count: data.length, counted_to: 10_000 },
});

/** Messages, and where the next page begins. */
export const messagePage = (data: Schemas["SessionMessage"][], next: string | null = null): Schemas["MessagePage"] => ({
  data,
  pagination: page([], next).pagination,
});

/** Those that have not ended, on one page. */
export const openPage = (
  data: Schemas["BackgroundRun"][],
  total_count = data.length,
): Schemas["BackgroundRunPage"] => ({
  data,
  pagination: { page: 1, page_size: 100, page_count: 1, total_count },
});

/** An open question: an approval, whose amount may be changed. */
export const question = (parts: Partial<Schemas["OpenQuestion"]> = {}): Schemas["OpenQuestion"] => ({
  ...(told(READ_QUESTIONS)[0] as Schemas["OpenQuestion"]),
  ...parts,
});

/** What a run asks in two parts: one of some, or another text; and as many as one likes. */
export const parts = (long = "The letter to the customer"): Schemas["StructuredQuestion"][] => [
  {
    ...{ id: "tone", header: "Tone", question: long, multi_select: false, allow_custom_answer: true },
    options: [
      { label: "Kind", description: long },
      { label: "Short", description: null },
    ],
  },
  {
    ...{ id: "copies", header: null, question: "Who gets a copy?", multi_select: true, allow_custom_answer: false },
    options: ["Sales", "Law"].map((label) => ({ label, description: null })),
  },
];

/** A question whose answer is a text, or has parts. */
export const asked = (parts: Partial<Schemas["OpenQuestion"]> = {}): Schemas["OpenQuestion"] =>
  question({
    ...{ id: "ask:1", type: "human_feedback", node: "ask", name: null, prompt: "Which of the two?" },
    ...{ params: null, editable_params: [], ...parts },
  });

/** Open questions, on one page. */
export const questions = (data: Schemas["OpenQuestion"][], total_count = data.length): Schemas["QuestionPage"] => ({
  data,
  pagination: { page: 1, page_size: 25, page_count: 1, total_count },
});

/** The events of a run, from its begin. */
export const events = (...types: [type: string, data?: Record<string, unknown>][]): Schemas["BackgroundEvent"][] =>
  types.map(([type, data = {}], at) => ({ sequence: at + 1, type, timestamp: BEGAN, data }));

/** Questions with long texts; a run in a node with a long name, and one that waits for a pod, of a version that is not known. */
export function openAnswers(unbroken: string, long: string): Record<string, unknown> {
  const waits = { status: "created", state: "queued", node: null, workflow_hash: null, started_at: null } as const;
  const began = events(["run.accepted"], ["run.started"], ["node.started", { id: unbroken, attempt: 2 }]);
  return {
    [READ_OPEN_RUNS]: openPage([open({ node: unbroken }), open({ ...waits, id: OPEN_RUN.replace("5f", "60") })]),
    [READ_OPEN_RUN]: { data: open({ session_id: unbroken, node: long, output: long }) },
    [READ_RUN_EVENTS]: { data: began, ended: true },
    [READ_QUESTIONS]: questions([
      question({ node: unbroken, prompt: long, params: { amount: 40, [unbroken]: { long } } }),
      asked({ questions: parts(long) }),
    ]),
  };
}

export const FAILED = { status: "failed", reason: "node_failed" } as const;

/** A list that is on one page. */
export const page = (data: Schemas["RunSummary"][], next: string | null = null): Schemas["RunPage"] => ({
  data,
  pagination: {
    ...{ page: 1, page_size: 100, page_count: 1, total_count: data.length, next_cursor: next, counted_to: 10_000 },
  },
});

const node = (name: string, offset: number, parts: Partial<Schemas["RunNode"]> = {}): Schemas["RunNode"] => ({
  ...{ input_tokens: null, output_tokens: null, cache_read_tokens: null, cache_write_tokens: null },
  ...{ span_id: `${name}-span`, parent_id: null, node_id: name, name, type: "Python", model: null, provider: null },
  ...{ status: "succeeded", error_type: null, error: null, error_line: null, attempts: 1, cached: false },
  ...{ started_at: BEGAN, offset_ms: offset, duration_ms: 150, cost_usd: null, cost_source: null },
  ...{ input: { question: "When does my invoice come?" }, output: { team: "billing" } },
  ...parts,
});

/** A run as it is read by itself: it failed in its last node. */
export const whole = (parts: Partial<Schemas["RunDetail"]> = {}): Schemas["RunDetail"] => ({
  ...run(FAILED),
  ...{ pins: "0123456789abcdef", workflow_hash: "f".repeat(64), trace_id: "28189231788e51adb0bca57a4d6dd953" },
  ...{ instance: "a1fcf6d8-50e7-5cb2-b2a8-821ab1474ad0", seq: 150, nodes_kept: true, metadata: null },
  nodes: [
    node("classify", 7, { type: "OpenAI", model: "gpt-4o-mini", provider: "openai" }),
    node("retrieve", 168, { type: "Agent", duration_ms: 259 }),
    node("embed", 175, { parent_id: "retrieve-span", cached: true }),
    node("search", 259, { parent_id: "retrieve-span" }),
    node("translate", 427, { status: "skipped", duration_ms: 0 }),
    node("summarize", 435, {
      ...{ status: "failed", error_type: "TimeoutError", attempts: 2 },
      error: "summarize: the model did not answer in 30 s",
    }),
  ],
  scores: [{ name: "helpful", value: 0.5, comment: "Very polite", by: "anna", at: BEGAN }],
  content: "left_out",
  input: null,
  output: null,
  ...parts,
});

const figures = (runs: number): Schemas["Figures"] => ({
  ...tokens,
  ...{ runs, failed: 2, refused: 1, abandoned: 0, p50_ms: 808.8, p95_ms: 1642.5, cost_usd: 0.3453, unpriced_calls: 7 },
});

/** The figures of some hours, of all runs or of one group. */
export const metrics = (...keys: string[]): Schemas["RunMetrics"] => ({
  ...{ since: "2026-11-23T12:00:00.000000Z", until: "2026-11-24T12:00:01.000000Z", interval: "hour" },
  group_by: keys.length ? "workflow_version" : null,
  series: (keys.length ? keys : [""]).map((key) => ({
    ...{ key, sequence: null, workflow_version: null, name: null },
    total: figures(60),
    points: [9, 20, 20, 11].map((runs, at) => ({ ...figures(runs), at: `2026-11-24T0${at + 4}:00:00.000000Z` })),
  })),
});

export const verdict = (row: string): Schemas["RowVerdict"] => ({
  ...{ deployment_id: row, sequence: 2, figures: figures(61), verdict: "regressed" },
  sentence: "Row #2 against #1: p95 × 1.46; node summarize did it.",
});

const compared = (value: number, baseline: number, verdict: Schemas["Verdict"]): Schemas["ComparedFigure"] => ({
  ...{ value, baseline, ratio: value / baseline, low: 0.9, high: 1.6, p_value: 0.01, verdict },
});

/** Whether a row made it worse. */
export const comparison = (): Schemas["RunComparison"] => ({
  deployment: of(ROW, 2, "v2"),
  baseline: of(OLDER, 1, "v1"),
  verdict: "regressed",
  p50_ms: compared(1053.9, 708, "regressed"),
  p95_ms: compared(1642.5, 1122.9, "regressed"),
  failure_rate: compared(0.033, 0.058, "unchanged"),
  cost_usd: compared(0.0064, 0.0043, "regressed"),
  tokens: compared(1080, 1169, "unchanged"),
  node: { node_id: "summarize", name: "summarize", of: "p95_ms", share: 0.82 },
  sentence: "Row #2 against #1: p95 × 1.46; node summarize did it.",
  matures_seconds: null,
});

const of = (deployment_id: string, sequence: number, workflow_version: string): Schemas["ComparedRow"] => ({
  ...{ deployment_id, sequence, workflow_version, figures: figures(61) },
  ...{ mean_tokens: 1080, mean_cost_usd: 0.0064, score_means: {} },
});
