import { useState } from "preact/hooks";
import type { Versions } from "../../api/workflows.ts";
import { readDiff } from "../../pure/diff.ts";
import type { Version, Workflow } from "../../pure/shapes.ts";
import type { Query } from "../../state/query.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { Time } from "../../ui/time.tsx";
import { useDifference } from "./difference.ts";
import { ReleaseDialog } from "./release.tsx";

interface Props {
  workflow: Workflow;
  versions: Query<Versions>;
  namespace?: string;
  right?: Right;
}

/** How far the draft has gone on since the newest version, and its release. */
export function Draft({ workflow, versions, namespace, right }: Props) {
  const [isReleasing, release] = useState(false);
  const newest = versions.data.value?.newest[0];
  return (
    <section class="panel" aria-label="Draft">
      <header>
        <h2>Draft</h2>
        {versions.data.value && (
          <Action right={right} onClick={() => release(true)}>
            Release
          </Action>
        )}
      </header>
      <div class="inside column near">
        {newest && <SinceNewest workflow={workflow} newest={newest} />}
        <p class="small muted">
          Changed <Time at={workflow.updated_at} />. Apps do not run it: they serve versions.
        </p>
      </div>
      {isReleasing && (
        <ReleaseDialog workflow={workflow} versions={versions} namespace={namespace} onClose={() => release(false)} />
      )}
    </section>
  );
}

function SinceNewest({ workflow, newest }: { workflow: Workflow; newest: Version }) {
  const query = useDifference(workflow, newest.id, "draft");
  const found = query.data.value;
  if (!found) return query.problem.value ? null : <p class="muted">Comparing with {newest.version}…</p>;
  const { added, removed } = readDiff(found.flow_diff);
  if (found.flow_diff === "") return <p>The same as {newest.version}.</p>;
  return (
    <p class="diff-head">
      <span>
        Differs from {newest.version}: <span class="plus">+{added}</span> <span class="minus">−{removed}</span> lines
      </span>
      <a href={`/console/workflows/${workflow.id}/versions/${newest.id}?with=draft`}>See what changed</a>
    </p>
  );
}
