/** The screens of the console as a table: where each is, what it reads, and what it says where there is nothing, or the caller may not. */
import * as cast from "./cast.ts";
import { messagePage, OPEN_RUN, READ_OPEN_RUN, sessionPage } from "./cast-runs.ts";
import type { Call } from "./document.ts";

const APP = `/console/apps/${cast.APP}`;
const HISTORY = `${APP}/history`;
const CONFIGURATION = `${APP}/configuration`;
const TRIGGERS = `${APP}/triggers`;
const FLOW = `/console/workflows/${cast.WORKFLOW}`;
const BACK = `v2 (#${cast.LIVE - 2})`;
const ASKED = `v2 (#${cast.LIVE + 2})`;

export interface Screen {
  name: string;
  path: string;
  /** The call that it is about. */
  reads?: Call | string;
  /** What it says of the answer. */
  shows: string;
  /** Answers with nothing in them, what it says then, and what is looked for, as the address has it. */
  nothing?: { answers: cast.Answers; says: string; query?: string }[];
  /** Answers of rights that the caller has not, and the buttons that say so. */
  barred?: { answers: cast.Answers; buttons: string[] };
  /** A field of its form, by its label, and what somebody writes into it. */
  filled?: [label: string, text: string];
  /** Buttons that are pressed to come to it. */
  opens?: string[];
  /** Where it is a dialog: the button or link that opens it, and the path of the screen that has it. */
  over?: [opener: string, path: string];
}

const without = (...names: Parameters<typeof cast.rights>) =>
  cast.answer(cast.READ_RIGHTS, cast.one(cast.rights(...names)));
const withoutInProject = (...names: Parameters<typeof cast.projectRights>) =>
  cast.answer(cast.READ_PROJECT_RIGHTS, cast.one(cast.projectRights(...names)));
const readRow = (id: string) => `GET /v1/apps/${cast.APP}/deployments/${id}`;
const noLive = cast.answer(cast.READ_APP, cast.one(cast.app({ live: null, warm: [] })));
const noVersions = cast.answer(cast.READ_VERSIONS, cast.some([]));
const noRuns = cast.answer(cast.READ_RUNS, cast.pageOfRuns([]));

/** Those that read something that is theirs alone. */
export const SCREENS: Screen[] = [
  {
    name: "deployments",
    path: "/console/",
    reads: cast.READ_APPS,
    shows: "Customer support",
    nothing: [
      { answers: cast.answer(cast.READ_APPS, cast.some([])), says: "Nothing is deployed here yet" },
      { answers: {}, says: "No App matches", query: "?q=no-such-text" },
    ],
  },
  {
    name: "app",
    path: APP,
    reads: cast.READ_APP,
    shows: "Live: v2",
    nothing: [{ answers: noLive, says: "Nothing is live" }],
    barred: {
      answers: without("promote", "deploy", "roll_back"),
      buttons: ["Promote deployment", "Deploy", "Roll back to v2…"],
    },
  },
  {
    name: "history",
    path: HISTORY,
    reads: cast.READ_ROWS,
    shows: `#${cast.LIVE}`,
    nothing: [
      { answers: cast.answer(cast.READ_ROWS, cast.some([])), says: "Nothing has been deployed yet" },
      { answers: {}, says: "No deployment fits these filters", query: "?q=no-such-text" },
    ],
    barred: { answers: without("roll_back"), buttons: [`Roll back to ${BACK}`] },
  },
  {
    name: "details of a row",
    path: `${HISTORY}/${cast.OLDER}`,
    reads: readRow(cast.OLDER),
    shows: "kubectl dynamiq",
    barred: { answers: without("roll_back"), buttons: ["Roll back"] },
    over: [`Details of ${BACK}`, HISTORY],
  },
  {
    name: "compare",
    path: `${APP}/compare?a=${cast.OLDER}&b=${cast.ROW}`,
    reads: cast.READ_ROW_DIFF,
    shows: "Answer shortly",
    barred: { answers: without("roll_back"), buttons: [`Roll back to ${BACK}`] },
  },
  {
    name: "deploy",
    path: `${APP}/deploy`,
    reads: cast.READ_VERSIONS,
    shows: "Select deployment",
    nothing: [
      { answers: noVersions, says: "No version is released yet" },
      {
        answers: cast.answer(cast.READ_APP, cast.one(cast.app({ workflow_id: null }))),
        says: "The workflow of this App was deleted",
      },
    ],
    barred: { answers: without("deploy"), buttons: ["Deploy v2"] },
    filled: ["Message (optional)", "Tuesday's"],
    over: ["Deploy", APP],
  },
  {
    name: "deploy of a workflow",
    path: `${FLOW}/deploy`,
    reads: cast.READ_VERSIONS,
    shows: "Source version",
    filled: ["Message (optional)", "For the south"],
    over: ["Deploy", FLOW],
  },
  {
    name: "roll back",
    path: `${HISTORY}/${cast.OLDER}/roll-back`,
    reads: readRow(cast.OLDER),
    shows: "goes back to",
    barred: { answers: without("roll_back"), buttons: [`Roll back to ${BACK}`] },
    filled: ["Message (optional)", "Tuesday's was wrong"],
    over: [`Roll back to ${BACK}`, HISTORY],
  },
  {
    name: "review",
    path: `${HISTORY}/${cast.WAITING}/review`,
    reads: readRow(cast.WAITING),
    shows: "Asked",
    barred: { answers: without("approve"), buttons: [`Approve ${ASKED}`, "Reject"] },
    filled: ["Message (optional)", "Read the diff"],
    over: [`Approve… ${ASKED}`, HISTORY],
  },
  {
    name: "promote",
    path: `${APP}/promote`,
    reads: cast.READ_ENVIRONMENTS,
    shows: "Environment",
    nothing: [
      {
        answers: cast.answer(cast.READ_ENVIRONMENTS, { data: cast.environments().slice(0, 1) }),
        says: "This project has no other environment",
      },
      { answers: noLive, says: "Nothing is live yet" },
    ],
    filled: ["Hostname", "support.example.com"],
    over: ["Promote deployment", APP],
  },
  {
    name: "rollout",
    path: `${APP}/rollouts/${cast.ROW}`,
    reads: cast.READ_ROW,
    shows: "Rollout of v2",
    nothing: [{ answers: cast.answer(cast.READ_PODS, { data: [] }), says: "None: this row's pods have ended." }],
    barred: { answers: without("logs"), buttons: ["Show the last 200 lines"] },
  },
  {
    name: "runs",
    path: `${APP}/runs`,
    reads: cast.READ_RUNS,
    shows: cast.RUN.slice(0, 8),
    nothing: [
      { answers: noRuns, says: "No run is recorded yet" },
      { answers: noRuns, says: "No run fits these filters", query: "?tag=no-such-tag" },
    ],
  },
  {
    name: "run",
    path: `${APP}/runs/${cast.RUN}`,
    reads: cast.READ_RUN,
    shows: "summarize",
    nothing: [
      {
        answers: cast.answer(cast.READ_RUN, cast.one(cast.wholeRun({ nodes: [], nodes_kept: false }))),
        says: "Its nodes were too old to be kept.",
      },
    ],
    barred: {
      answers: without("runs_delete", "runs_score", "run_contents"),
      buttons: ["Delete…", "Score", "Good", "Show inputs and outputs"],
    },
    over: [cast.RUN.slice(0, 8), `${APP}/runs`],
  },
  {
    name: "background run",
    path: `${APP}/runs/${OPEN_RUN}?open=true`,
    reads: READ_OPEN_RUN,
    shows: "node.started",
    barred: { answers: without("runs_score"), buttons: ["Cancel…"] },
    over: [OPEN_RUN.slice(0, 8), `${APP}/runs`],
  },
  {
    name: "sessions",
    path: `${APP}/sessions`,
    reads: cast.READ_SESSIONS,
    shows: "Where is my invoice?",
    nothing: [
      { answers: cast.answer(cast.READ_SESSIONS, sessionPage([])), says: "No session is recorded yet" },
      { answers: cast.answer(cast.READ_SESSIONS, sessionPage([], 2)), says: "No more sessions", query: "?page=2" },
    ],
  },
  {
    name: "session",
    path: `${APP}/sessions?session=s-1`,
    reads: cast.READ_MESSAGES,
    shows: "It is on its way.",
    nothing: [{ answers: cast.answer(cast.READ_MESSAGES, messagePage([])), says: "Nothing is recorded of it" }],
    over: ["s-1", `${APP}/sessions`],
  },
  {
    name: "monitoring",
    path: `${APP}/monitoring`,
    reads: cast.READ_METRICS,
    shows: "Invocations",
    nothing: [
      {
        answers: cast.answer(cast.READ_METRICS, cast.one({ ...cast.metrics(), series: [] })),
        says: "No run in the last 24 h",
        query: "?range=24+h",
      },
    ],
  },
  {
    name: "workflows",
    path: "/console/workflows",
    reads: cast.READ_WORKFLOWS,
    shows: "Answers customers' questions",
    nothing: [
      { answers: cast.answer(cast.READ_WORKFLOWS, cast.some([])), says: "No workflows here yet" },
      { answers: {}, says: "No workflow matches", query: "?q=no-such-text" },
    ],
  },
  {
    name: "workflow",
    path: FLOW,
    reads: cast.READ_WORKFLOW,
    shows: "Versions",
    nothing: [{ answers: noVersions, says: "Nothing is released yet" }],
    barred: { answers: withoutInProject("release"), buttons: ["Release"] },
  },
  {
    name: "version",
    path: `${FLOW}/versions/${cast.VERSION}`,
    reads: cast.READ_FLOW_DIFF,
    shows: "Answer shortly",
    nothing: [
      {
        answers: cast.answer(cast.READ_VERSIONS, cast.some(cast.versions().slice(1))),
        says: "There is no such version",
      },
    ],
  },
  {
    name: "configuration",
    path: CONFIGURATION,
    reads: cast.READ_CONFIGURATION,
    shows: "A_VARIABLE_WITH_A_NAME",
    nothing: [
      {
        answers: cast.answer(cast.READ_CONFIGURATION, cast.one(cast.configuration({ variables: [] }))),
        says: "None. Change the configuration",
      },
      { answers: cast.answer(cast.READ_KEYS, { data: [] }), says: "No key: nobody can call this App" },
    ],
    barred: {
      answers: without("configure", "keys_write", "delete"),
      buttons: ["Change", "Create a key", "Revoke website", "Delete App"],
    },
  },
  {
    name: "triggers",
    path: TRIGGERS,
    reads: cast.READ_TRIGGERS,
    shows: "Every working day",
    nothing: [{ answers: cast.answer(cast.READ_TRIGGERS, cast.some([])), says: "No triggers yet" }],
    barred: {
      answers: without("triggers"),
      buttons: ["New trigger", "Run now Every working day", "Deactivate Every working day"],
    },
  },
  {
    name: "trigger",
    path: `${TRIGGERS}?trigger=${cast.TRIGGER}`,
    reads: cast.READ_EVENTS,
    shows: "Failed",
    nothing: [{ answers: cast.answer(cast.READ_EVENTS, cast.some([])), says: "No runs yet" }],
    barred: { answers: without("triggers"), buttons: ["Change", "Delete"] },
    over: ["Every working day", TRIGGERS],
  },
];

const ofHistory = (name: string, shows: string): Screen => ({
  ...{ name, path: HISTORY, shows, opens: [name], over: [name, HISTORY] },
});
const ofConfiguration = (name: string, opener: string, shows: string): Screen => ({
  ...{ name, path: CONFIGURATION, shows, opens: [opener], over: [opener, CONFIGURATION] },
});

/** Those that read what another screen has read already, or nothing. */
export const FORMS: Screen[] = [
  {
    ...{ name: "change of the configuration", path: CONFIGURATION, shows: "Save changes", opens: ["Change"] },
    filled: ["Description", "Answers at night, too"],
  },
  { name: "verified history", path: HISTORY, shows: "Expected digest", opens: ["Verify"] },
  ofHistory("Export", "Export"),
  ofHistory("Print", "Print"),
  ofHistory("Keys", "Single letters"),
  { name: "account", path: "/console/", shows: "Signed in as", opens: ["Account"] },
  {
    ...{ name: "new deployment", path: `${FLOW}/deploy`, shows: "What will be created", opens: ["New deployment"] },
    barred: { answers: withoutInProject("create_app"), buttons: ["Deploy v2"] },
    filled: ["Name", "Support of the south"],
    over: ["Deploy", FLOW],
  },
  ofConfiguration("new key", "Create a key", "The key is random"),
  ofConfiguration("revoked key", "Revoke website", "This cannot be undone"),
  ofConfiguration("suspension", "Suspend…", "not even past the rules"),
  ofConfiguration("deletion", "Delete App", "This cannot be undone"),
  {
    ...{ name: "rejection", path: `${FLOW}/versions/${cast.VERSION}`, shows: "Nobody can deploy its flow" },
    opens: ["Reject…"],
    filled: ["Why nobody is to deploy it", "It loses invoices"],
    over: ["Reject…", `${FLOW}/versions/${cast.VERSION}`],
  },
  {
    ...{ name: "withdrawal of a rejection", path: `${FLOW}/versions/${cast.BEFORE}`, shows: "was rejected by" },
    opens: ["Withdraw the rejection…"],
    filled: ["Why it may be deployed again", "It was the mail server"],
    over: ["Withdraw the rejection…", `${FLOW}/versions/${cast.BEFORE}`],
  },
  {
    ...{ name: "new trigger", path: `${TRIGGERS}?trigger=new`, shows: "Activate it at once" },
    filled: ["Name", "Each night"],
    over: ["New trigger", TRIGGERS],
  },
  {
    ...{ name: "release", path: FLOW, shows: "What is new", opens: ["Release"] },
    filled: ["Description", "Speaks at night"],
    over: ["Release", FLOW],
  },
  { name: "no such page", path: `${APP}/no-such-page`, shows: "There is no such page" },
];
