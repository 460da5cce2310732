/** The screens and dialogs that are loaded after the first screen: see rest.ts. */
import { later } from "../ui/later.tsx";

export const rest = later(() => import("./rest.ts"));

export const CompareScreen = rest.part("CompareScreen");
export const ConfigurationTab = rest.part("ConfigurationTab");
export const DeployDialog = rest.part("DeployDialog");
export const ExportDialog = rest.part("ExportDialog");
export const KeysDialog = rest.part("KeysDialog");
export const LiveAtDialog = rest.part("LiveAtDialog");
export const MonitoringTab = rest.part("MonitoringTab");
export const PrintDialog = rest.part("PrintDialog");
export const PromoteDialog = rest.part("PromoteDialog");
export const RejectDialog = rest.part("RejectDialog");
export const ReportDialog = rest.part("ReportDialog");
export const ResumeDialog = rest.part("ResumeDialog");
export const ReviewDialog = rest.part("ReviewDialog");
export const RollBackDialog = rest.part("RollBackDialog");
export const RolloutScreen = rest.part("RolloutScreen");
export const RowDialog = rest.part("RowDialog");
export const RunDialog = rest.part("RunDialog");
export const RunsTab = rest.part("RunsTab");
export const SessionsTab = rest.part("SessionsTab");
export const SuspendDialog = rest.part("SuspendDialog");
export const TriggersTab = rest.part("TriggersTab");
export const VerifyPanel = rest.part("VerifyPanel");
export const WorkflowScreen = rest.part("WorkflowScreen");
export const WorkflowsScreen = rest.part("WorkflowsScreen");
