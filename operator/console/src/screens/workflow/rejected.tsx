import { useState } from "preact/hooks";
import { rejectionsOfVersion } from "../../pure/guards.ts";
import type { AppOfList, Version } from "../../pure/shapes.ts";
import { useRejections } from "../../state/rejections.ts";
import { useRights } from "../../state/rights.ts";
import { Action } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Said } from "../../ui/said.tsx";
import { RejectDialog } from "../guards/dialogs.tsx";

/** That nobody is to deploy a version, by whom and why. */
export function Rejected({ says }: { says: string | null | undefined }) {
  if (!says) return null;
  return (
    <p class="small rejected break">
      <Icon shape="cross" /> <Said text={says} />
    </p>
  );
}

/** Rejects a version, or withdraws that: by an App of the workflow, in whose project it is rejected. */
export function RejectAction({ version, app }: { version: Version; app: AppOfList }) {
  const [isOpen, open] = useState(false);
  const right = useRights(app.id).data.value?.reject_versions;
  const rejections = rejectionsOfVersion(useRejections(app.id), version);
  return (
    <>
      <Action right={right} onClick={() => open(true)}>
        {rejections.length ? "Withdraw the rejection…" : "Reject…"}
      </Action>
      {isOpen && (
        <RejectDialog
          app={app.id}
          version={version.version}
          of={{ workflow_version_id: version.id }}
          rejections={rejections}
          onClose={() => open(false)}
        />
      )}
    </>
  );
}
