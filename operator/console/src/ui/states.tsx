import type { ComponentChildren } from "preact";
import type { Problem } from "../api/problem.ts";
import { connection } from "../state/connection.ts";
import type { Query } from "../state/query.ts";
import { session } from "../state/session.ts";
import { Action } from "./action.tsx";
import { Said } from "./said.tsx";

/** Grey lines where text will be. `level` 1: the screen has no heading yet, and this stands for it. */
export function Skeleton({ lines = 4, level = 2 }: { lines?: number; level?: 1 | 2 }) {
  return (
    <div class="inside" role="status" aria-label="Loading">
      {level === 1 && <h1 class="hidden-label loading">Loading</h1>}
      {Array.from({ length: lines }, (_, line) => (
        <div
          key={line}
          class="skeleton"
          style={{ height: "1.1rem", marginBottom: "0.8rem", width: `${90 - ((line * 17) % 45)}%` }}
        />
      ))}
    </div>
  );
}

/** Nothing is there yet: what it would be, and the next step. */
export function Empty({ title, level = 2, children }: { title: string; level?: 1 | 2; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Heading level={level}>{title}</Heading>
      {children}
    </div>
  );
}

/** `level` 1: the screen has no other heading. */
function Heading({ level, children }: { level: 1 | 2; children: ComponentChildren }) {
  return level === 1 ? <h1>{children}</h1> : <h2>{children}</h2>;
}

/** Why something could not be read, in the API's words, and Retry. */
export function Failure({ problem, level = 2, retry }: { problem: Problem; level?: 1 | 2; retry?: () => void }) {
  const title = problem.isForbidden
    ? "You may not see this"
    : problem.isUnknown
      ? "It does not exist, or you may not see it"
      : problem.isAway
        ? "The cluster does not answer at this moment"
        : problem.status === 401
          ? "You are signed out"
          : "This could not be read";
  return (
    <div class="empty" role="alert">
      <Heading level={level}>{title}</Heading>
      <p class="muted">
        <Said text={problem.message} isPart />
      </p>
      {problem.isForbidden && session.value?.user && <p class="small muted">You are {session.value.user.username}.</p>}
      {retry && <Action onClick={retry}>Retry</Action>}
    </div>
  );
}

interface TroubleProps {
  query: Pick<Query<unknown>, "problem">;
  /** What is not known for it. */
  says?: string;
  retry: () => void;
}

/** Why what is on the screen may be old, or why a part of it is not there, and Retry. Nothing where that is so of the whole page: it says so at its top. */
export function Trouble({ query, says = "This may be old: it could not be read again", retry }: TroubleProps) {
  const problem = query.problem.value;
  if (!problem || problem.status === 401 || (problem.isAway && connection.value === "away")) return null;
  return (
    <div class="notice bad trouble" role="alert">
      <span class="break">
        {says}. <Said text={problem.message} />
      </span>
      <Action tiny onClick={retry}>
        Retry
      </Action>
    </div>
  );
}

/** What is known of a query: its data, however old, and why it is; else why it is not there, else that it is being read. */
export function Loaded<T>({
  query,
  lines,
  level,
  children,
}: {
  query: Query<T>;
  lines?: number;
  /** Of the heading of a failure, or of the wait: 1 where it is all that the screen has. */
  level?: 1 | 2;
  children: (data: T) => ComponentChildren;
}) {
  const data = query.data.value;
  const problem = query.problem.value;
  const retry = () => void query.refresh();
  if (data !== undefined) {
    return (
      <>
        <Trouble query={query} retry={retry} />
        {children(data)}
      </>
    );
  }
  if (problem) return <Failure problem={problem} level={level} retry={retry} />;
  return <Skeleton lines={lines} level={level} />;
}
