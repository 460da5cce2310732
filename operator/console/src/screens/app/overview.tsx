import type { AppRights } from "../../api/awaited.ts";
import type { App } from "../../api/read.ts";
import { Empty } from "../../ui/states.tsx";

export function OverviewTab({ app }: { app: App; rights?: AppRights }) {
  return <Empty title={`Overview of ${app.name}`} />;
}
