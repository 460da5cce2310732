/** Names the types of what the API takes and returns; `npm run types` makes them of its OpenAPI document. No code. */
import type { components } from "./schema.d.ts";

export type Schemas = components["schemas"];
/** One App, with its status, conditions and what Git asks. */
export type App = Schemas["AppDetails"];
/** One App of a list. */
export type AppOfList = Schemas["App"];
export type StatusWord = Schemas["AppStatus"]["word"];
export type AppRights = Schemas["AppRights"];
export type Condition = Schemas["Condition"];
/** Pods of a row: how many are ready of how many wanted, and the version that still serves. */
export type Ready = Schemas["ReadyPods"];
/** One row as it is read by itself. */
export type OneDeployment = Schemas["DeploymentDetail"];
export type Deployment = Schemas["Deployment"];
export type Project = Schemas["Project"];

/** A row of a history; as an event tells it, with its pods. */
export type Row = Deployment & { ready?: Ready | null };
/** A row, whole. `asked`, `pinned` and `outcome` are as the record has them. */
export type WholeRow = Omit<OneDeployment, "pinned" | "outcome"> & {
  pinned: Pins | null;
  outcome: null | { result: string; reason: string; at: string; digest: string };
};
/** What a row pins, as far as the console says it by name; the rest is shown as it is. */
export interface Pins {
  workflow: string;
  workflowVersion: string;
  workflowHash: string;
  runtime: { name: string; version: string; image: string };
  createdByVerified?: boolean | null;
  previousDigest?: string | null;
  digest: string;
  [more: string]: unknown;
}
export type FilterChoices = Schemas["HistoryFilters"];
export type Counted = Schemas["Count"];
export type Comparison = Schemas["ComparisonShape"];
export type Verification = Schemas["Verification"];
export type LiveAt = Schemas["LiveAtShape"];

export type Runtime = Schemas["Runtime"];
export type Environment = Schemas["Environment"];
export type PreviewData = Schemas["PreviewShape"];
export type PromotionData = Schemas["PromotionPreview"];
export type DeployBody = Schemas["NewDeployment"];
export type PromoteBody = Schemas["Promotion"];
export type NewAppBody = Schemas["NewApp"];

/** A row that waits, as its App tells it. */
export type Waiting = Schemas["WaitingRef"];
export type Waits = Schemas["Waits"];
/** What would hold a deploy that is asked for now. */
export type Guard = Schemas["Guard"];
export type Approval = Schemas["Approval"];
export type Rejection = Schemas["Rejection"];
export type WaitingPreview = Schemas["WaitingPreview"];
export type Word = Schemas["NewApproval"];
export type Purpose = Word["purpose"];

export type Configuration = Schemas["Configuration"];
/** What is left out stays. */
export type ConfigurationChange = Pick<Schemas["ConfigurationChange"], "object_version"> &
  Partial<Schemas["ConfigurationChange"]>;
export type AccessKey = Schemas["AccessKey"];
/** A key that was made a moment ago: its value is never told again. */
export type NewAccessKey = Schemas["MadeAccessKey"];

export type ListedWorkflow = Schemas["ListedWorkflow"];
export type Workflow = Schemas["WorkflowDetail"];
export type Version = Schemas["Version"];
export type FlowDifference = Schemas["FlowDifference"];
export type ProjectRights = Schemas["ProjectRights"];

export type Pod = Schemas["Pod"];
export type PodEvent = Schemas["PodEvent"];
export type PodLog = Schemas["PodLog"];

export type Run = Schemas["RunSummary"];
export type WholeRun = Schemas["RunDetail"];
export type RunNode = Schemas["RunNode"];
export type Score = Schemas["RunScore"];
export type Figures = Schemas["Figures"];
export type Metrics = Schemas["RunMetrics"];
export type Series = Schemas["MetricsSeries"];
export type GroupBy = Schemas["MetricsGroup"];
export type Interval = Schemas["MetricsInterval"];
export type RowVerdict = Schemas["RowVerdict"];
export type RunComparison = Schemas["RunComparison"];
export type ComparedFigure = Schemas["ComparedFigure"];
export type RunPage = Schemas["RunPage"];
/** A run in the background, as the journal has it until a while after its end. */
export type BackgroundRun = Schemas["BackgroundRun"];
export type BackgroundEvent = Schemas["BackgroundEvent"];
/** A callback of a background run: where to, and how it went. Its URL is told to nobody. */
export type Callback = Schemas["RunCallback"];
/** How many conversations belong to the rows of one kind of pods. */
export type Conversations = Schemas["RowConversations"];
/** The row of a run, by its place in the history and its version. */
export type RunRow = Schemas["RunRow"];
/** The runs of callers who named the same session. */
export type Session = Schemas["SessionSummary"];
/** One run of a session: what was asked, and what was answered. */
export type Message = Schemas["SessionMessage"];
/** An open question of a background run to a person. Its texts are null for who may not read what runs are given. */
export type Question = Schemas["OpenQuestion"];
export type AskedInParts = Schemas["StructuredQuestion"];
export type RunInput = Schemas["RunInput"];
/** What a list is asked for: filters, order, page or cursor, by their names in the API. */
export type RunQuery = Record<string, string | string[] | number | undefined>;

export type Trigger = Schemas["Trigger"];
export type TriggerEvent = Schemas["TriggerEvent"];
export type NewTrigger = Schemas["NewTrigger"];
