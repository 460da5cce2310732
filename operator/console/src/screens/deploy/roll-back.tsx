import { useLocation } from "preact-iso";
import type { App } from "../../api/read.ts";
import { Dialog } from "../../ui/dialog.tsx";

export function RollBackDialog({ app, rowId }: { app: App; rowId: string }) {
  const { route } = useLocation();
  return (
    <Dialog title="Roll back" onClose={() => route(`/console/apps/${app.id}/history`)}>
      <div class="body">{rowId}</div>
    </Dialog>
  );
}
