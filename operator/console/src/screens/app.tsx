import { Empty } from "../ui/states.tsx";

export function AppScreen() {
  return <Empty title="app" />;
}
