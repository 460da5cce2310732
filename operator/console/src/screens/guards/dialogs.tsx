import { rejectVersion, say, suspend, withdrawRejection } from "../../api/guards.ts";
import type { App, Rejection } from "../../pure/shapes.ts";
import { refresh, update } from "../../state/query.ts";
import { useRights } from "../../state/rights.ts";
import { Said } from "../../ui/said.tsx";
import { toast } from "../../ui/toasts.tsx";
import { SayDialog } from "./say-dialog.tsx";

interface Props {
  app: App;
  onClose: () => void;
}

/** Suspends an App, or takes that off. */
export function SuspendDialog({ app, onClose }: Props) {
  const is = app.suspended;
  return (
    <SayDialog
      title={is ? "End the suspension" : `Suspend ${app.name}`}
      action={is ? "Take it off" : "Suspend"}
      isDanger={!is}
      right={useRights(app.id).data.value?.suspend}
      undone={is ? "It stays suspended" : "It is not suspended"}
      onClose={onClose}
      write={async () => {
        const now = await suspend(app.id, !is);
        update<App>(`app ${app.id}`, () => now);
        toast(is ? `${app.name} is deployed again` : `${app.name} is suspended`);
      }}
    >
      <p>
        {is
          ? `Rows that wait only for it are deployed: of ${app.name}, ${app.waiting.length || "no"} deployment${app.waiting.length === 1 ? " waits" : "s wait"} now.`
          : `While suspended, nobody can deploy ${app.name} or roll it back, not even past the rules. It keeps running.`}
      </p>
    </SayDialog>
  );
}

/** Ends the hold after a rollback where no row waits yet: what Git asks for next is deployed. */
export function ResumeDialog({ app, onClose }: Props) {
  const row = app.live?.deployment_id as string;
  return (
    <SayDialog
      title="Resume changes from Git"
      action="Resume"
      label="Message (optional)"
      right={useRights(app.id).data.value?.resume}
      undone="It waits on"
      onClose={onClose}
      write={async (message) => {
        const key = crypto.randomUUID();
        const made = await say(app.id, row, { purpose: "Resume", ...(message ? { message } : {}) }, key);
        toast(<Said text={made.says.join(". ")} />);
        refresh("app ");
      }}
    >
      <p>
        Changes from Git are on hold since the rollback to {app.live?.version} (#{app.holds?.sequence}). Nothing waits
        now. Once resumed, the next change from Git is deployed.
      </p>
    </SayDialog>
  );
}

interface VersionProps {
  /** An App of the workflow, in whose project it is rejected. */
  app: string;
  version: string;
  /** What is rejected: the version by its id, or by a row that ran it. */
  of: { workflow_version_id: string } | { deployment_id: string };
  /** The Rejections of its flow that stand: all of them are withdrawn, each with the others. */
  rejections: Rejection[];
  onClose: () => void;
}

/** Rejects a version, or withdraws that. */
export function RejectDialog({ app, version, of, rejections, onClose }: VersionProps) {
  const [rejection] = rejections;
  return (
    <SayDialog
      title={rejection ? `Withdraw the rejection of ${version}` : `Reject ${version}`}
      action={rejection ? "Withdraw the rejection" : `Reject ${version}`}
      label={rejection ? "Why it may be deployed again" : "Why nobody is to deploy it"}
      isRequired
      isDanger={!rejection}
      right={useRights(app).data.value?.reject_versions}
      undone={rejection ? "It stays rejected" : "Nothing was rejected"}
      onClose={onClose}
      write={async (reason) => {
        if (rejection) await withdrawRejection(app, rejection.id, reason);
        else await rejectVersion(app, { ...of, reason });
        toast(rejection ? `${version} may be deployed again` : `${version} is rejected`);
        for (const each of ["rejections ", "workflow-versions ", "row ", "history "]) refresh(each);
      }}
    >
      {rejection ? (
        rejections.map((each) => (
          <p key={each.id}>
            <Said text={each.message} />
          </p>
        ))
      ) : (
        <p>
          Nobody can deploy its flow, under any name, here or by a promotion from here, until somebody withdraws this.
          The live version keeps running.
        </p>
      )}
    </SayDialog>
  );
}
