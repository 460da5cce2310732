import { useRef, useState } from "preact/hooks";
import { versionOf } from "../../pure/open-runs.ts";
import { isWithoutContent, keyOf } from "../../pure/questions.ts";
import { count, shortId } from "../../pure/run-words.ts";
import type { App, AppRights, Question } from "../../pure/shapes.ts";
import { useOpenRuns } from "../../state/open-runs.ts";
import { useQuestions } from "../../state/questions.ts";
import { useRights } from "../../state/rights.ts";
import { useRows } from "../../state/rows.ts";
import { useKeptFocus } from "../../ui/kept-focus.ts";
import { Time } from "../../ui/time.tsx";
import { Answer } from "./answer.tsx";
import { Verbatim } from "./verbatim.tsx";

/** The oldest open questions of an App's runs, each with a form made of it. What is being answered stays, also if the question is gone. */
export function QuestionList({ app }: { app: App }) {
  const { found } = useQuestions(app.id);
  const rights = useRights(app.id).data.value;
  const runs = useOpenRuns(app.id).data.value?.data;
  const rows = useRows(app);
  const heading = useRef<HTMLHeadingElement>(null);
  const [opened, open] = useState<Question>();
  // An answer takes its form away, and the last one all of this.
  const panel = useRef<HTMLElement>(null);
  useKeptFocus(() => heading.current ?? document.querySelector<HTMLElement>("main h1"), panel);
  const open_now = found?.data ?? [];
  const isOpened = (each: Question) => opened !== undefined && keyOf(each) === keyOf(opened);
  const isGone = opened !== undefined && !open_now.some(isOpened);
  const shown = isGone ? [opened, ...open_now] : open_now;
  if (shown.length === 0) return null;
  const total = found?.pagination.total_count ?? 0;
  return (
    <section ref={panel} class="panel" aria-label="Waiting for a person">
      <header>
        <h2 ref={heading} tabIndex={-1}>
          Waiting for a person{" "}
          <span class="small muted total" role="status">
            {count(total)} open{total > open_now.length && `, the oldest ${open_now.length} are here`}
          </span>
        </h2>
      </header>
      <ul class="questions" aria-label="Questions">
        {shown.map((question) => (
          <Item
            key={keyOf(question)}
            {...{ app, rights, question }}
            // The pins of a run tell its flow: any run with the same ones has it, too.
            version={versionOf(
              runs?.find(({ pins }) => pins === question.pins),
              rows,
            )}
            isOpen={isOpened(question)}
            isGone={isOpened(question) && isGone}
            onToggle={() => open(isOpened(question) ? undefined : question)}
          />
        ))}
      </ul>
    </section>
  );
}

interface ItemProps {
  app: App;
  rights?: AppRights;
  question: Question;
  version: string;
  isOpen: boolean;
  /** It is no open question any more. */
  isGone: boolean;
  onToggle: () => void;
}

function Item({ app, rights, question, version, isOpen, isGone, onToggle }: ItemProps) {
  const { id, run_id, node, name, prompt, asked_at, expires_at } = question;
  const isClosed = isWithoutContent(question) && !rights?.run_contents.allowed;
  return (
    <li class="column">
      <div>
        <h3>
          <Verbatim text={name ?? node} />
        </h3>
        <p class="small muted buttons">
          <span>{version}</span>
          <code>
            <Verbatim text={node} />
          </code>
          <span>
            run{" "}
            <a class="mono" href={`/console/apps/${app.id}/runs/${run_id}?open=true`}>
              {shortId(run_id)}
            </a>
          </span>
          <span>
            asked <Time at={asked_at} />
          </span>
          {expires_at && (
            <span>
              ends unanswered <Time at={expires_at} isPlanned />
            </span>
          )}
        </p>
      </div>
      {isClosed ? (
        <p class="muted break">
          You may not see what it asks: {rights?.run_contents.needs ?? "that takes get on apps/runcontents"}.
        </p>
      ) : (
        <>
          {prompt && (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys
            <section class="text" tabIndex={0} aria-label={`Question ${id} of run ${shortId(run_id)}`}>
              <Verbatim text={prompt} />
            </section>
          )}
          <div>
            <button type="button" class="button" aria-expanded={isOpen} onClick={onToggle}>
              {isOpen ? "Close" : "Answer…"}
              <span class="hidden-label"> {node}</span>
            </button>
          </div>
          {isOpen && <Answer {...{ app, question, isGone, right: rights?.runs_answer, onDone: onToggle }} />}
        </>
      )}
    </li>
  );
}
