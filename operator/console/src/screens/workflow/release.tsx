import { useState } from "preact/hooks";
import { readWorkflow, releaseDraft, type Versions } from "../../api/workflows.ts";
import type { Workflow } from "../../pure/shapes.ts";
import { line, option } from "../../pure/shell.ts";
import { type Query, refresh, update } from "../../state/query.ts";
import { useWrite } from "../../state/write.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { Diff } from "../../ui/diff.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { Loaded } from "../../ui/states.tsx";
import { TextField } from "../../ui/text-field.tsx";
import { toast } from "../../ui/toasts.tsx";
import { useDifference } from "./difference.ts";

interface Props {
  workflow: Workflow;
  versions: Query<Versions>;
  namespace?: string;
  onClose: () => void;
}

/** Releases the draft as the next version. What is shown here is what is released, or nothing is. */
export function ReleaseDialog({ workflow, versions, namespace, onClose }: Props) {
  const newest = versions.data.value?.newest[0];
  const next = `v${Number(newest?.version.slice(1) ?? 0) + 1}`;
  const [described, describe] = useState("");
  const write = useWrite();
  const difference = useDifference(workflow, newest?.id, "draft");
  // The description of a version never changes: the same flow with another one is another version.
  const isSame = difference.data.value?.flow_diff === "" && described.trim() === "";
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isSame) return;
    await write.run(async () => {
      const made = await releaseDraft(workflow, newest?.version ?? null, described.trim() || undefined);
      toast(`${workflow.name} ${made.version} is released: deploy it to have it served`);
      refresh("workflow");
      onClose();
    });
  };
  const command = [
    line("kubectl", "dynamiq", "release", workflow.name, "-n", namespace ?? "NAMESPACE"),
    ...option("--description", described.trim()),
  ].join(" ");
  const lookAgain = async () => {
    const now = await readWorkflow(workflow.id, new AbortController().signal).catch(() => undefined);
    if (now) update(`workflow ${workflow.id}`, () => now);
    await versions.refresh();
    write.forget();
  };
  return (
    <Dialog title={`Release ${workflow.name} ${next}`} wide onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <div class="body">
          <TextField
            label="Description"
            hint="What is new: the history of each App shows it. Empty: the workflow's"
            spellcheck
            maxLength={512}
            placeholder={workflow.description ?? ""}
            value={described}
            onChange={describe}
          />
          {newest ? (
            <Loaded query={difference} lines={5}>
              {(found) => (
                <Diff text={found.flow_diff} label="Flow" same={`The draft is the same as ${newest.version}.`} />
              )}
            </Loaded>
          ) : (
            <p class="muted">It is the first version: there is nothing to compare with. The whole draft is released.</p>
          )}
        </div>
        <footer>
          <Command text={command} />
          <ProblemNotice problem={write.problem} undone="Nothing was released" />
          {isSame && !write.problem && (
            <p class="small muted">
              Nothing to release: the draft is {newest?.version} already. Another description is another version.
            </p>
          )}
          <div class="buttons end">
            <Action onClick={onClose}>Cancel</Action>
            {write.problem?.isChanged ? (
              <Action kind="primary" onClick={() => void lookAgain()}>
                Look at it as it is now
              </Action>
            ) : (
              <Action
                type="submit"
                kind="primary"
                disabled={isSame || write.isBusy || (newest && !difference.data.value)}
              >
                {write.isBusy ? "Releasing…" : `Release ${next}`}
              </Action>
            )}
          </div>
        </footer>
      </form>
    </Dialog>
  );
}
