import type { App } from "../../api/read.ts";
import { Empty } from "../../ui/states.tsx";

export function ConfigurationTab({ app }: { app: App }) {
  return <Empty title={`Configuration of ${app.name}`} />;
}
