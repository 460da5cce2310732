import type { App } from "../api/read.ts";
import { Empty } from "../ui/states.tsx";

export function TriggersTab({ app }: { app: App }) {
  return <Empty title={`Triggers of ${app.name}`} />;
}
