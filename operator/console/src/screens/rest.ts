/** What is not needed to show the first screen: one file of its own, loaded right after it. */
export { ConfigurationTab } from "./configuration/configuration.tsx";
export { DeployDialog } from "./deploy/deploy.tsx";
export { PromoteDialog } from "./deploy/promote.tsx";
export { RollBackDialog } from "./deploy/roll-back.tsx";
export { CompareScreen } from "./history/compare.tsx";
export { RowDialog } from "./history/details.tsx";
export { ExportDialog } from "./history/export.tsx";
export { KeysDialog } from "./history/keys.tsx";
export { PrintDialog } from "./history/print.tsx";
export { VerifyPanel } from "./history/verify.tsx";
export { MonitoringTab } from "./monitoring/index.tsx";
export { RolloutScreen } from "./rollout/index.tsx";
export { RunsTab } from "./runs/index.tsx";
export { RunDialog } from "./runs/run.tsx";
export { TriggersTab } from "./triggers.tsx";
export { WorkflowScreen } from "./workflow.tsx";
export { WorkflowsScreen } from "./workflows.tsx";
