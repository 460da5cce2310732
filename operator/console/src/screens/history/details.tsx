import { useLocation } from "preact-iso";
import type { App } from "../../api/read.ts";
import { Dialog } from "../../ui/dialog.tsx";

export function RowDialog({ app, rowId }: { app: App; rowId: string }) {
  const { route } = useLocation();
  return (
    <Dialog title="Details" onClose={() => route(`/console/apps/${app.id}/history`)} side>
      <div class="body">{rowId}</div>
    </Dialog>
  );
}
