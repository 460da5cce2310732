import type { Problem } from "../api/problem.ts";
import { isUncertain } from "../pure/answers.ts";
import { Said } from "./said.tsx";

interface Props {
  problem: Problem | undefined;
  /** What was not done, such as `Nothing was saved`. */
  undone: string;
  /** What it means that what was to be deleted is not there, which an earlier try may have done. */
  gone?: string;
  /** What the form's fields say themselves to be wrong: what is told of others is said here. */
  said?: Record<string, string>;
}

/** Why a write did nothing, in the API's words, or that it may have been done; and what is wrong with each field that the form does not show. */
export function ProblemNotice({ problem, undone, gone, said = {} }: Props) {
  if (!problem) return null;
  if (isUncertain(problem)) {
    return (
      <div class="notice warn" role="alert">
        <span class="break">
          <strong>The result is unknown:</strong> look, then try again.{" "}
          <span class="small">
            (<Said text={problem.message} />)
          </span>
        </span>
      </div>
    );
  }
  const told = new Set(Object.values(said));
  const others = Object.entries(problem.details).filter(([, what]) => typeof what === "string" && !told.has(what));
  const isSaidBelow = told.size > 0 && problem.status === 422;
  return (
    <div class="notice bad" role="alert">
      <div class="break">
        <strong>{(problem.isUnknown && gone) || undone}.</strong>{" "}
        {isSaidBelow ? "Fix the marked fields." : <Said text={sentenceOf(problem)} />}
        {isSaidBelow && others.length > 0 && (
          <ul>
            {others.map(([field, what]) => (
              <li key={field}>
                {field}: {String(what)}
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

function sentenceOf(problem: Problem): string {
  if (problem.status === 401)
    return "Your session has ended: sign in again, then try once more. What you filled in stays here.";
  return problem.message;
}
