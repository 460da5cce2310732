import { Empty } from "../ui/states.tsx";

export function WorkflowsScreen() {
  return <Empty title="workflows" />;
}
