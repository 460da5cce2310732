import type { ComponentChildren } from "preact";
import { useLocation } from "preact-iso";
import { signOut, user } from "../state/session.ts";
import { theme } from "../state/theme.ts";
import { Lost } from "../ui/lost.tsx";
import { Skeleton } from "../ui/states.tsx";
import { Toasts } from "../ui/toasts.tsx";
import { ProjectSwitcher } from "./projects.tsx";

/** What is around every screen: where one is, which project, who one is, and whether the API and the session are still there. */
export function Frame({ children }: { children?: ComponentChildren }) {
  const { path } = useLocation();
  const inWorkflows = path.startsWith("/console/workflows");
  return (
    <div class="frame">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <a class="mark" href="/console/">
          <img src="/console/favicon.svg" width="24" height="24" alt="" />
          Dynamiq
        </a>
        <nav aria-label="Console">
          <a href="/console/" aria-current={inWorkflows ? undefined : "page"}>
            Deployments
          </a>
          <a href="/console/workflows" aria-current={inWorkflows ? "page" : undefined}>
            Workflows
          </a>
        </nav>
        {user.value && (
          <>
            <ProjectSwitcher />
            <Account />
          </>
        )}
      </header>
      <Lost />
      <main id="main" tabIndex={-1}>
        {children ?? <Skeleton lines={6} />}
      </main>
      <Toasts />
    </div>
  );
}

function Account() {
  return (
    <div class="buttons push">
      <span class="small muted break">{user.value?.username}</span>
      <label>
        <span class="hidden-label">Theme</span>
        <select
          class="input"
          value={theme.value}
          onChange={(event) => (theme.value = event.currentTarget.value as typeof theme.value)}
        >
          <option value="system">System</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
      <button type="button" class="button tiny" onClick={() => void signOut()}>
        Sign out
      </button>
    </div>
  );
}
