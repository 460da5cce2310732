import { useRef } from "preact/hooks";
import { scoreRun } from "../../api/runs.ts";
import type { WholeRun } from "../../pure/shapes.ts";
import { useWrite } from "../../state/write.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Person } from "../../ui/person.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";
import { Time } from "../../ui/time.tsx";

const THUMBS = "thumbs";

/** What people think of a run, and a score of one's own: a thumb, or a value under a name. */
export function Scores({ run, right, onScored }: { run: WholeRun; right?: Right; onScored: () => void }) {
  const write = useWrite();
  const form = useRef<HTMLFormElement>(null);
  const score = async (of?: string, given?: number) => {
    const filled = Object.fromEntries(new FormData(form.current as HTMLFormElement)) as Record<string, string>;
    const comment = filled.comment?.trim() || undefined;
    const body = { name: of ?? (filled.name?.trim() as string), value: given ?? Number(filled.value), comment };
    if (!(await write.run(() => scoreRun(run.id, body)))) return;
    form.current?.reset();
    onScored();
  };
  return (
    <section class="stack" aria-labelledby="scores">
      <h3 id="scores">Scores</h3>
      {run.scores.length > 0 && (
        <ul class="scores">
          {run.scores.map((each) => (
            <li key={`${each.name} ${each.by}`}>
              <b>{each.name === THUMBS ? (each.value > 0 ? "Good" : "Bad") : `${each.name} ${each.value}`}</b>{" "}
              <span class="small muted">
                by <Person name={each.by} />, <Time at={each.at} />
              </span>
              {each.comment && <p class="break">{each.comment}</p>}
            </li>
          ))}
        </ul>
      )}
      <form
        ref={form}
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void score();
        }}
      >
        <input class="input" name="comment" aria-label="Comment" placeholder="Comment" maxLength={1024} />
        <div class="buttons">
          <Action right={right} disabled={write.isBusy} onClick={() => void score(THUMBS, 1)}>
            <Icon shape="check" /> Good
          </Action>
          <Action right={right} disabled={write.isBusy} onClick={() => void score(THUMBS, 0)}>
            <Icon shape="cross" /> Bad
          </Action>
          <span class="muted">or</span>
          <input
            class="input short"
            name="name"
            aria-label="Name of the score"
            placeholder="helpful"
            maxLength={64}
            required
          />
          <input
            class="input short"
            name="value"
            aria-label="Value"
            placeholder="0.8"
            type="number"
            step="any"
            required
          />
          <Action right={right} type="submit" disabled={write.isBusy}>
            Score
          </Action>
        </div>
      </form>
      <ProblemNotice problem={write.problem} undone="It is not scored" />
    </section>
  );
}
