import type { App } from "../../api/read.ts";
import { Empty } from "../../ui/states.tsx";

export function HistoryTab({ app }: { app: App }) {
  return <Empty title={`History of ${app.name}`} />;
}
