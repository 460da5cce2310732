import { useLocation } from "preact-iso";
import type { App } from "../../api/read.ts";
import { Dialog } from "../../ui/dialog.tsx";

export function DeployDialog({ app }: { app?: App; workflowId?: string }) {
  const { route } = useLocation();
  return (
    <Dialog title="Deploy" onClose={() => route(app ? `/console/apps/${app.id}` : "/console/workflows")}>
      <div class="body">{app?.name}</div>
    </Dialog>
  );
}
