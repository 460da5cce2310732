/**
 * An App, its history, its workflow and what belongs to them, as the API tells them: examples of its document, grown to what is hard to
 * show. Texts are as long as the API lets them be, and some have no place to break at.
 */
import type { Schemas } from "../src/pure/shapes.ts";
import * as runs from "./cast-runs.ts";
import { type Body, type Call, example, told } from "./document.ts";

export { metrics, page as pageOfRuns, run as aRun, whole as wholeRun } from "./cast-runs.ts";
export { example, told } from "./document.ts";

export const READ_APPS = "GET /v1/apps";
export const READ_APP = "GET /v1/apps/{app_id}";
export const READ_RIGHTS = "GET /v1/apps/{app_id}/rights";
export const READ_ROWS = "GET /v1/apps/{app_id}/deployments";
export const READ_FILTERS = "GET /v1/apps/{app_id}/deployments/filters";
export const READ_LAST_GOOD = "GET /v1/apps/{app_id}/deployments/last-good";
export const READ_ROW = "GET /v1/apps/{app_id}/deployments/{deployment_id}";
export const READ_ROW_DIFF = "GET /v1/apps/{app_id}/deployments/{deployment_id}/diff";
export const READ_VERIFY = "GET /v1/apps/{app_id}/verify";
export const READ_WAITING = "GET /v1/apps/{app_id}/deployments/{deployment_id}/preview";
export const READ_APPROVALS = "GET /v1/apps/{app_id}/deployments/{deployment_id}/approvals";
export const READ_REJECTIONS = "GET /v1/apps/{app_id}/rejections";
export const READ_PODS = "GET /v1/apps/{app_id}/deployments/{deployment_id}/pods";
export const READ_LOGS = "GET /v1/apps/{app_id}/deployments/{deployment_id}/pods/{pod}/logs";
export const READ_ENVIRONMENTS = "GET /v1/apps/{app_id}/environments";
export const READ_CONFIGURATION = "GET /v1/apps/{app_id}/configuration";
export const READ_KEYS = "GET /v1/apps/{app_id}/access-keys";
export const READ_TRIGGERS = "GET /v1/apps/{app_id}/triggers";
export const READ_EVENTS = "GET /v1/apps/{app_id}/triggers/{trigger_id}/events";
export const READ_RUNS = "GET /v1/apps/{app_id}/runs";
export const READ_RUN = "GET /v1/runs/{run_id}";
export const READ_METRICS = "GET /v1/apps/{app_id}/metrics";
export const READ_VERDICTS = "GET /v1/apps/{app_id}/verdicts";
export const READ_RUN_COMPARISON = "GET /v1/apps/{app_id}/deployments/{deployment_id}/comparison";
export const READ_SESSIONS = "GET /v1/apps/{app_id}/sessions";
export const READ_MESSAGES = "GET /v1/apps/{app_id}/sessions/{session_id}/messages";
export const READ_CONVERSATIONS = "GET /v1/apps/{app_id}/conversations";
export const READ_WORKFLOWS = "GET /v1/workflows";
export const READ_WORKFLOW = "GET /v1/workflows/{workflow_id}";
export const READ_VERSIONS = "GET /v1/workflows/{workflow_id}/versions";
export const READ_FLOW_DIFF = "GET /v1/workflows/{workflow_id}/versions/{version_id}/diff";
export const READ_RUNTIMES = "GET /v1/runtimes";
export const READ_PROJECTS = "GET /v1/projects";
export const READ_PROJECT_RIGHTS = "GET /v1/projects/{project_id}/rights";
export const PREVIEW = "POST /v1/apps/{app_id}/deploy/preview";
export const PREVIEW_PROMOTION = "POST /v1/apps/{app_id}/promote/preview";
export const DEPLOY = "POST /v1/apps/{app_id}/deploy";
export const PROMOTE = "POST /v1/apps/{app_id}/promote";

/** A text without a place to break at, and one that is as long as texts may be. */
export const UNBROKEN = `sha256:${"0f3a9c41d7".repeat(6)}`;
export const LONG =
  "Questions about an invoice go to the team that wrote it, all others to whoever has the next free minute; the greeting names the " +
  `weekday, and what could not be answered is kept under ${UNBROKEN} until somebody has looked at it`;
/** What the operator says is as long, and ends with a line for a terminal. */
const SAID = `${LONG}: \`kubectl dynamiq approve support -n demo\``;
export const SOMEBODY =
  "system:serviceaccount:continuous-delivery-of-the-northern-region:argocd-application-controller";
export const ROLE = "dynamiq-deployer";
const NEEDS = `create deployments.dynamiq.getdynamiq.ai in demo: the role ${ROLE} has it`;
/** The sequence of what is live; two more rows are newer. */
export const LIVE = 12;

export const FLOW_DIFF = [
  "--- v1",
  "+++ v2",
  "@@ -1,7 +1,8 @@",
  " id: support",
  " nodes:",
  "   - id: answer",
  '-    prompt: "Answer shortly."',
  `+    prompt: "Answer shortly, and ${LONG}."`,
  `+    model: registry.example/models/${UNBROKEN}`,
  "     depends: [in]",
].join("\n");

/** The first of a list that is never empty. */
export const first = <T>(list: readonly T[]): T => list[0] as T;
/** A value that the examples have. */
const sure = <T>(value: T): NonNullable<T> => value as NonNullable<T>;
/** An id of something that no example names. */
export const uid = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;

const APP_TOLD = told(READ_APP);
export const APP = APP_TOLD.id;
export const ROW = told(READ_ROW).id;
export const WAITING = first(APP_TOLD.waiting).deployment_id;
export const OLDER = uid(LIVE - 2);
export const WORKFLOW = told(READ_WORKFLOW).id;
export const VERSION = first(told(READ_VERSIONS)).id;
export const BEFORE = sure(told(READ_FLOW_DIFF).from).id as string;
export const TRIGGER = first(told(READ_TRIGGERS)).id;
export const RUN = runs.RUN;

/** An answer of one thing. */
export const one = <T>(data: T): { data: T } => ({ data });
/** A list that is on one page. */
export const some = <T>(data: T[]) => ({
  data,
  pagination: { page: 1, page_size: 500, page_count: Math.min(data.length, 1), total_count: data.length },
});

/** The App, as it is read by itself. */
export const app = (parts: Partial<Schemas["AppDetails"]> = {}): Schemas["AppDetails"] => ({
  ...APP_TOLD,
  conditions: [
    { type: "ChildrenApplied", status: "False", reason: "NameTaken", message: SAID, since: APP_TOLD.created_at },
    ...APP_TOLD.conditions,
  ],
  ...parts,
});

/** Another App of the same workflow. */
export const appOfList = (number: number, parts: Partial<Schemas["App"]> = {}): Schemas["App"] => ({
  ...first(told(READ_APPS)),
  id: uid(number),
  resource_name: `support-${number}`,
  ...parts,
});

/** Apps of every status, one of them with the longest texts. */
export function apps(): Schemas["App"][] {
  const known = first(told(READ_APPS));
  const coming = {
    deployment_id: ROW,
    name: "support-long",
    sequence: null,
    version: "v3",
    status: "Progressing" as const,
  };
  const said = { reason: "Serving", message: LONG };
  return [
    known,
    appOfList(1, {
      name: "Support of the northern region and of everything that lies beyond it, in the languages that are spoken there",
      hostname: `${"support-of-the-northern-region.".repeat(4)}example.com`,
      status: { word: "Progressing", ...said },
      under_way: coming,
      updated_by: { ...sure(known.created_by), username: SOMEBODY },
    }),
    appOfList(2, { name: "Ledger", status: { word: "Asleep", ...said } }),
    appOfList(3, { name: "Triage", status: { word: "Degraded", ...said } }),
    appOfList(4, { name: "Mail", status: { word: "Failed", ...said }, live: null }),
    appOfList(5, {
      name: "Pending",
      status: { word: "Pending", ...said },
      live: null,
      under_way: { ...coming, status: "Pending" },
    }),
    appOfList(6, {
      name: "New",
      status: { word: "NotDeployed", reason: null, message: null },
      live: null,
      latest_deployment_id: null,
    }),
  ];
}

const yes = { allowed: true, needs: null };
const no = { allowed: false, needs: NEEDS };
const allBut = <R extends object>(of: R, names: (keyof R)[]): R =>
  Object.fromEntries(Object.keys(of).map((name) => [name, names.includes(name as keyof R) ? no : yes])) as R;
/** What the caller may do with the App: all, but for these. */
export const rights = (...names: (keyof Schemas["AppRights"])[]): Schemas["AppRights"] =>
  allBut(told(READ_RIGHTS), names);
/** The same of the project. */
export const projectRights = (...names: (keyof Schemas["ProjectRights"])[]): Schemas["ProjectRights"] =>
  allBut(told(READ_PROJECT_RIGHTS), names);

/** A row of the history. */
export function row(sequence: number, parts: Partial<Schemas["Deployment"]> = {}): Schemas["Deployment"] {
  const id = { [LIVE]: ROW, [LIVE + 2]: WAITING }[sequence] ?? uid(sequence);
  return { ...first(told(READ_ROWS)), id, sequence, name: `support-${sequence}`, ...parts };
}

/** A history: what is live, below it rows of each status, the last but one with the longest texts. */
export function rows(): Schemas["Deployment"][] {
  const plain = first(told(READ_ROWS));
  const somebody = { ...sure(plain.created_by), username: SOMEBODY, email: null };
  const closed = { status: "Superseded", is_live: false } as const;
  const parts: Record<number, Partial<Schemas["Deployment"]>> = {
    [LIVE + 2]: {
      ...{ status: "Pending", is_live: false, duration_seconds: null, message: LONG, released: null },
      waits: { ...sure(first(APP_TOLD.waiting).waits), message: SAID, approvals_needed: 2 },
    },
    [LIVE + 1]: { status: "Progressing", is_live: false, duration_seconds: null, digest: null },
    [LIVE]: { message: "Questions go to the right team" },
    [LIVE - 1]: { status: "Failed", is_live: false, reason: LONG, created_by: somebody },
    [LIVE - 2]: {
      ...{ ...closed, message: LONG, created_by: somebody, provenance: LONG },
      workflow_version: { ...sure(plain.workflow_version), description: LONG },
    },
    [LIVE - 3]: {
      ...closed,
      ...{ restores: `support-${LIVE - 9}`, restores_sequence: LIVE - 9, provenance: `restores #${LIVE - 9}` },
    },
    [LIVE - 4]: {
      ...{ ...closed, deployable: couldBe(false), bypass_reason: LONG, holds: { row: "support-3", sequence: 3 } },
      verified: { at: "2026-11-24T22:22:45Z", cases: 4, calls: 50, seconds: 2.5, score: 0.92, message: LONG },
    },
    [LIVE - 6]: { ...closed, ending: "Reverted" },
    [LIVE - 5]: { ...closed, deployable: couldBe(null), flow_hash: first(rejections()).flow_hash },
  };
  return Array.from({ length: LIVE + 2 }, (_, at) => LIVE + 2 - at).map((each) => row(each, parts[each] ?? closed));
}

/** Whether a row could be brought back, with long reasons. */
const couldBe = (ok: boolean | null): Schemas["Deployment"]["deployable"] => ({
  ...{ ok, reasons: [LONG], waits: [SAID], notes: [SAID], warm: true },
});

/** One that stands, with the longest reason. */
export const rejections = (): Schemas["Rejection"][] => [
  {
    ...first(told(READ_REJECTIONS)),
    flow_hash: `sha256:${"4".repeat(64)}`,
    withdrawn: null,
    reason: LONG,
    message: `v2 was rejected by ${SOMEBODY}: ${LONG}`,
  },
];

function approvals(): Schemas["Approval"][] {
  const known = first(told(READ_APPROVALS));
  return [known, { ...known, id: uid(81), purpose: "Reject", message: LONG, is_restored: true, created_by: null }];
}

/** The page of the history that is asked for. */
export function pageOfRows(query: Record<string, string>): Body<typeof READ_ROWS> {
  const found = rows().filter((each) => !query.q || each.message?.includes(query.q));
  const [page, size] = [Number(query.page ?? 1), Number(query.page_size ?? 25)];
  const pages = Math.ceil(found.length / size);
  return {
    data: found.slice((page - 1) * size, page * size),
    pagination: { page, page_size: size, page_count: pages, total_count: found.length },
  };
}

/** A row as it is read by itself. */
export const whole = (
  sequence = LIVE,
  parts: Partial<Schemas["DeploymentDetail"]> = {},
): Schemas["DeploymentDetail"] => ({
  ...told(READ_ROW),
  ...(rows().find((each) => each.sequence === sequence) as Schemas["Deployment"]),
  flow: FLOW_DIFF,
  ...parts,
});

/** Whom a version may break, with every result and the longest name. */
function callers(): Schemas["Callers"] {
  const known = sure(told(PREVIEW).callers);
  const change = first(known.changes);
  const name = UNBROKEN.slice(0, 64);
  const untold = `cannot be told for node \`${name}\` of v1: it may read other fields than the live version`;
  return {
    ...known,
    unknown: LONG,
    changes: [
      {
        ...change,
        name,
        result: "Compatible",
        message: `v1 reads \`${name}\`: all of the last 20 runs (7 days) sent it`,
      },
      { ...change, kind: "CannotTell", name, result: "Unknown", runs: null, of: null, callers: [], message: untold },
      change,
    ],
  };
}
const all = {
  ...{ flow_diff: FLOW_DIFF, warnings: [LONG], under_way: "v3 (#3)", guards: APP_TOLD.guards },
  callers: callers(),
};
/** What a deploy would do, with all that can be said of it. */
export const preview = (parts: Partial<Schemas["PreviewShape"]> = {}): Schemas["PreviewShape"] => ({
  ...told(PREVIEW),
  ...all,
  ...parts,
});
/** What a promotion would do. */
export const promotion = (parts: Partial<Schemas["PromotionPreview"]> = {}): Schemas["PromotionPreview"] => ({
  ...told(PREVIEW_PROMOTION),
  ...all,
  ...parts,
});

/** Of a row: one in trouble, one that serves. */
export function pods(): Body<typeof READ_PODS>["data"] {
  const known = first(told(READ_PODS));
  const good = {
    name: "support-6d5f7b9c4-abcde",
    phase: "Running",
    ready: true,
    reason: null,
    message: null,
    restarts: 2,
  };
  const events = known.events.map((each) => ({ ...each, message: LONG }));
  return [
    { ...known, events, node: `node-${UNBROKEN}` },
    { ...known, ...good, is_serving: true, events: [] },
  ];
}

/** The App's own, production, which needs a hostname, and one in which it is live. */
export function environments(): Schemas["Environment"][] {
  const known = first(told(READ_ENVIRONMENTS));
  const live = { needs_hostname: false } as const;
  return [
    { ...known, ...live, environment: "staging", is_own: true, app_id: APP, live_version: "v2" },
    { ...known, project_id: uid(20) },
    { ...known, ...live, environment: "canary-of-the-northern-region", project_id: uid(21), live_version: "v1" },
  ];
}

export function configuration(parts: Partial<Schemas["Configuration"]> = {}): Schemas["Configuration"] {
  const known = told(READ_CONFIGURATION);
  const name = "A_VARIABLE_WITH_A_NAME_THAT_SAYS_ALL_OF_IT";
  return {
    ...known,
    variables: [...known.variables, { name, value: UNBROKEN, secret: null, config_map: null }],
    ...{ managed_by: "argocd", description: LONG },
    problems: [{ type: "VariablesResolved", status: "False", reason: "KeyMissing", message: LONG, since: null }],
    ...parts,
  };
}

/** One that runs, a draft with long texts, one that is over. */
export function triggers(): Schemas["Trigger"][] {
  const known = first(told(READ_TRIGGERS));
  return [
    { ...known, status: "active" },
    { ...known, id: uid(31), name: `${LONG.slice(0, 60)} ${UNBROKEN.slice(0, 60)}` },
    {
      ...known,
      ...{ id: uid(32), name: "Launch", status: "expired" },
      config: { timezone: "UTC", schedule: null, run_at: "2026-11-30T08:00:00Z", expires_at: null },
    },
  ];
}

export function workflows(): Body<typeof READ_WORKFLOWS>["data"] {
  const known = first(told(READ_WORKFLOWS));
  const name = `a-workflow-of-${UNBROKEN.slice(7, 50)}`;
  return [known, { ...known, id: uid(51), name, description: LONG, newest_version: null }];
}

/** The newest, and one before it that was rejected. */
export function versions(): Schemas["Version"][] {
  const newest = first(told(READ_VERSIONS));
  const { id, message } = first(rejections());
  const texts = { name: LONG, description: LONG, rejected: message, rejection_id: id };
  return [newest, { ...newest, id: BEFORE, version: "v1", ...texts }];
}

export function runtimes(): Schemas["Runtime"][] {
  const newest = first(told(READ_RUNTIMES));
  const name = { version: "1.3.0", name: "runtime-1.3.0", label: LONG.slice(0, 120) };
  return [newest, { ...newest, id: uid(61), ...name, deprecated: true }];
}

/** Those of one row. */
export const conversations = (
  sequence = LIVE,
  parts: Partial<Schemas["RowConversations"]> = {},
): Schemas["RowConversations"] => ({
  ...first(told(READ_CONVERSATIONS)),
  ...{ sequence, row: { sequence, version: "v2" }, deployment_id: row(sequence).id },
  ...parts,
});

export type Query = Record<string, string>;
/** What is answered to calls, or how it follows from the query. A call with ids in the place of its braces comes first. */
export type Answers = Record<string, unknown | ((query: Query) => unknown)>;

/** An entry of a table of answers. */
export const answer = <C extends Call>(call: C, body: Body<C> | ((query: Query) => Body<C>)): Answers => ({
  [call]: body,
});
/** The same of one row. */
export const answerOfRow = (sequence: number, parts: Partial<Schemas["DeploymentDetail"]> = {}): Answers => {
  const data = whole(sequence, parts);
  return { [`GET /v1/apps/${APP}/deployments/${data.id}`]: { data } };
};

/** Answers to all that the console asks, as somebody gets them who may do everything. */
export const usual = (): Answers => ({
  ...answer("GET /v1/orgs", example("GET /v1/orgs")),
  ...answer(READ_PROJECTS, some(told(READ_PROJECTS))),
  ...answer(READ_PROJECT_RIGHTS, one(projectRights())),
  ...answer(READ_APPS, some(apps())),
  ...answer(READ_APP, one(app())),
  ...answer(READ_RIGHTS, one(rights())),
  ...answer(READ_ROWS, pageOfRows),
  ...answer(READ_FILTERS, example(READ_FILTERS)),
  ...answer(READ_LAST_GOOD, one({ deployment: row(LIVE - 2), reason: null, warnings: [] })),
  ...answer(READ_ROW, one(whole())),
  ...answerOfRow(LIVE - 2),
  ...answerOfRow(LIVE + 2),
  ...answer(READ_WAITING, one({ ...told(READ_WAITING), flow_diff: FLOW_DIFF, warnings: [LONG], message: LONG })),
  ...answer(READ_APPROVALS, { data: approvals() }),
  ...answer(READ_REJECTIONS, { data: rejections() }),
  ...answer(READ_ROW_DIFF, one({ ...told(READ_ROW_DIFF), flow_diff: FLOW_DIFF, warnings: [] })),
  ...answer(READ_VERIFY, example(READ_VERIFY)),
  ...answer(READ_PODS, { data: pods() }),
  ...answer(READ_LOGS, one({ ...told(READ_LOGS), lines: [LONG, LONG, LONG] })),
  ...answer(READ_ENVIRONMENTS, { data: environments() }),
  ...answer(READ_CONFIGURATION, one(configuration())),
  ...answer(READ_KEYS, { data: [...told(READ_KEYS), { name: `a-partner-${UNBROKEN.slice(7)}`, begins: "" }] }),
  ...answer(READ_TRIGGERS, some(triggers())),
  ...answer(READ_EVENTS, some(events())),
  ...answer(
    READ_RUNS,
    runs.page([runs.run(), runs.run({ ...runs.FAILED, id: uid(71), error: LONG, session_id: UNBROKEN })]),
  ),
  ...runs.openAnswers(UNBROKEN, LONG),
  ...answer(READ_RUN, one(runs.whole({ error: LONG, session_id: UNBROKEN }))),
  ...answer(READ_METRICS, one(runs.metrics())),
  ...answer(READ_VERDICTS, one([runs.verdict(ROW)])),
  ...answer(READ_RUN_COMPARISON, one({ ...runs.comparison(), sentence: LONG })),
  ...answer(READ_SESSIONS, runs.sessionPage([runs.session(), runs.session({ id: UNBROKEN, input: LONG })])),
  ...answer(
    READ_MESSAGES,
    runs.messagePage([runs.message(), runs.message({ id: uid(72), output: { [UNBROKEN]: LONG } })]),
  ),
  ...answer(READ_CONVERSATIONS, { data: [conversations(), conversations(LIVE - 2, { sessions: 3, recent: 0 })] }),
  ...answer(READ_WORKFLOWS, some(workflows())),
  ...answer(READ_WORKFLOW, one(told(READ_WORKFLOW))),
  ...answer(READ_VERSIONS, some(versions())),
  ...answer(READ_FLOW_DIFF, one({ ...told(READ_FLOW_DIFF), flow_diff: FLOW_DIFF })),
  ...answer(READ_RUNTIMES, some(runtimes())),
  ...answer(PREVIEW, one(preview())),
  ...answer(PREVIEW_PROMOTION, one(promotion())),
});

function events(): Schemas["TriggerEvent"][] {
  const known = first(told(READ_EVENTS));
  return [{ ...known, id: uid(41), status: "failed", message: LONG }, known];
}
