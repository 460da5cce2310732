import type { App } from "../../api/read.ts";
import { Empty } from "../../ui/states.tsx";

export function CompareScreen({ app }: { app: App }) {
  return <Empty title={`Compare rows of ${app.name}`} />;
}
