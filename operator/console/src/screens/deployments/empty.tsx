import { inProject } from "../../state/project.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Empty } from "../../ui/states.tsx";

/** Nothing is deployed yet, or the caller may see none of it: the ways to the first App. */
export function NoApps() {
  return (
    <div class="panel">
      <Empty title="Nothing is deployed here yet">
        <p class="muted">An App is a deployed workflow. There are two ways to the first one:</p>
        <ol class="ways">
          <li>
            <p>Release a version of a workflow, then press Deploy.</p>
            <Action href={inProject("/console/workflows")}>To the workflows</Action>
          </li>
          <li>
            <p>Or keep it in Git, and apply a Workflow, its version and an App:</p>
            <Command text="kubectl apply -f app.yaml" />
          </li>
        </ol>
        <p class="small muted">You see the Apps of those projects that your account may read.</p>
      </Empty>
    </div>
  );
}

export function NoMatch({ clear }: { clear: () => void }) {
  return (
    <div class="panel">
      <Empty title="No App matches">
        <Action onClick={clear}>Show all</Action>
      </Empty>
    </div>
  );
}
