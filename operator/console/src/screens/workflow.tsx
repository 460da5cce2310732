import { Empty } from "../ui/states.tsx";

export function WorkflowScreen() {
  return <Empty title="workflow" />;
}
