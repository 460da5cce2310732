import { Empty } from "../ui/states.tsx";

export function UnknownScreen() {
  return <Empty title="unknown" />;
}
