import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { useLocation } from "../state/location.tsx";
import { inProject, project } from "../state/project.ts";
import { user } from "../state/session.ts";
import { Arrival } from "../ui/arrival.tsx";
import { Lost } from "../ui/lost.tsx";
import { Mark } from "../ui/mark.tsx";
import { Skeleton } from "../ui/states.tsx";
import { Toasts } from "../ui/toasts.tsx";
import { Account } from "./account.tsx";
import { ProjectSwitcher } from "./projects.tsx";

/** What is around every screen: where one is, which project, who one is, and whether the API and the session are still there. */
export function Frame({ children }: { children?: ComponentChildren }) {
  const { path } = useLocation();
  useProjectOfAddress();
  const inWorkflows = path.startsWith("/console/workflows");
  return (
    <div class="frame">
      <a class="skip button" href="#main">
        Skip to the content
      </a>
      <div class="top">
        <header>
          <a class="mark" href={inProject("/console/")} aria-label="Dynamiq, Deployments">
            <Mark size={24} />
            <span>Dynamiq</span>
          </a>
          <nav aria-label="Console">
            <a href={inProject("/console/")} aria-current={inWorkflows ? undefined : "page"}>
              Deployments
            </a>
            <a href={inProject("/console/workflows")} aria-current={inWorkflows ? "page" : undefined}>
              Workflows
            </a>
          </nav>
          {user.value && (
            <>
              <ProjectSwitcher />
              <Account user={user.value} />
            </>
          )}
        </header>
        <Lost />
      </div>
      <main id="main" tabIndex={-1}>
        {children ?? <Skeleton lines={6} level={1} />}
      </main>
      <Arrival />
      <Toasts />
    </div>
  );
}

/** The project stands in the addresses of lists: a step back in the browser's history changes it too. */
function useProjectOfAddress(): void {
  const { path, query } = useLocation();
  const isList = path === "/console" || path === "/console/workflows";
  useEffect(() => {
    if (isList) project.value = query.project ?? "";
  }, [isList, query.project]);
}
