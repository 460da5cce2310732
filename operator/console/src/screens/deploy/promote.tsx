import { useLocation } from "preact-iso";
import type { App } from "../../api/read.ts";
import { Dialog } from "../../ui/dialog.tsx";

export function PromoteDialog({ app }: { app: App }) {
  const { route } = useLocation();
  return (
    <Dialog title="Promote deployment" onClose={() => route(`/console/apps/${app.id}`)}>
      <div class="body">{app.name}</div>
    </Dialog>
  );
}
