import type { App, OneDeployment } from "../../pure/shapes.ts";
import { Fact } from "../../ui/fact.tsx";
import { Person } from "../../ui/person.tsx";

/** What `App.spec.deploy` asks, and whether it is what callers get. */
export function GitAsks({ app, git, live }: { app: App; git: NonNullable<App["git"]>; live?: OneDeployment }) {
  const asked = git.workflow_version ?? "the newest version";
  return (
    <section class="panel" aria-labelledby="git-asks">
      <header>
        <h2 id="git-asks">Git asks for {asked}</h2>
        <span class={`status ${git.is_live ? "good" : isComing(app) ? "busy" : "warn"}`}>
          {git.is_live ? "Is live" : isComing(app) ? "On its way" : "Is not live"}
        </span>
      </header>
      <div class="inside column">
        {!git.is_live && !isComing(app) && (
          <p class="notice warn">
            {why(live)}; Git asks for {asked}. It stays so until Git asks for something else.
          </p>
        )}
        <dl class="facts">
          {git.message && <Fact label="Message">{git.message}</Fact>}
          {git.runtime && <Fact label="Runtime">{git.runtime}</Fact>}
          {git.changed_by && (
            <Fact label="Changed by">
              <Person name={git.changed_by} />
            </Fact>
          )}
        </dl>
      </div>
    </section>
  );
}

function isComing({ git, under_way }: App): boolean {
  return under_way !== null && (git?.workflow_version === null || under_way.version === git?.workflow_version);
}

/** How it came that something else is live. */
function why(live: OneDeployment | undefined): string {
  const what = live?.workflow_version?.version ?? "Something else";
  if (live?.source === "Revert") return `A bad version was reverted: ${what} is live`;
  if (live?.restores) return `Rolled back by hand: ${what} is live`;
  return live?.source === "App" ? `${what} is live` : `Deployed by hand: ${what} is live`;
}
