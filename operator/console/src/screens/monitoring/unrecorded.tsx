import { Empty } from "../../ui/states.tsx";

/** What stands in the place of runs where nothing records them. */
export function Unrecorded() {
  return (
    <section class="panel" aria-label="Runs">
      <Empty title="No recorder is installed">
        <p class="muted">It keeps each run with its time, tokens and cost. docs/runs.md tells how to install one.</p>
      </Empty>
    </section>
  );
}
