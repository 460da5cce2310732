import type { AppTab } from "../../pure/place.ts";
import { plural } from "../../pure/texts.ts";
import { useQuestions } from "../../state/questions.ts";
import { usePoll } from "../../ui/poll.ts";

const TABS: [AppTab, string, string][] = [
  ["overview", "", "Overview"],
  ["history", "/history", "History"],
  ["runs", "/runs", "Runs"],
  ["sessions", "/sessions", "Sessions"],
  ["monitoring", "/monitoring", "Monitoring"],
  ["configuration", "/configuration", "Configuration"],
  ["triggers", "/triggers", "Triggers"],
];
/** Milliseconds until questions are read again: where they are shown, and elsewhere. */
const SHOWN_AGAIN_AFTER = 4_000;
const COUNTED_AGAIN_AFTER = 30_000;

/** The tabs of an App, as links: each has an address of its own. That of its runs says how many questions wait for a person. */
export function AppTabs({ id, current }: { id: string; current: AppTab }) {
  const open = useQuestionCount(id, current === "runs");
  return (
    <nav class="tabs" aria-label="App">
      {TABS.map(([tab, rest, label]) => (
        <a key={tab} href={`/console/apps/${id}${rest}`} aria-current={tab === current ? "page" : undefined}>
          {label}
          {tab === "runs" && open > 0 && (
            <>
              {" "}
              <span class="tag" aria-hidden="true">
                {open}
              </span>
              <span class="hidden-label">({plural(open, "open question")})</span>
            </>
          )}
        </a>
      ))}
    </nav>
  );
}

function useQuestionCount(id: string, areShown: boolean): number {
  const { found, look } = useQuestions(id);
  usePoll(areShown ? SHOWN_AGAIN_AFTER : COUNTED_AGAIN_AFTER, look);
  return found?.pagination.total_count ?? 0;
}
