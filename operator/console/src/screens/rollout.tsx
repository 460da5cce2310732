import type { App } from "../api/read.ts";
import { Empty } from "../ui/states.tsx";

export function RolloutScreen({ app, rowId }: { app: App; rowId: string }) {
  return <Empty title={`Rollout ${rowId} of ${app.name}`} />;
}
