/**
 * What most visits never need, in a file of its own that is loaded when it is looked at: background runs, where there are some,
 * sessions, and the report.
 */
export { ReportDialog } from "./deployments/report.tsx";
export { QuestionList } from "./questions/list.tsx";
export { Callbacks } from "./runs/callbacks.tsx";
export { OpenRun } from "./runs/open-run.tsx";
export { ConversationPanel } from "./sessions/by-row.tsx";
export { SessionsTab } from "./sessions/list.tsx";
