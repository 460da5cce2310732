import type { Problem } from "../api/problem.ts";

interface Props {
  problem: Problem | undefined;
  /** What was not done, such as `Nothing was saved`. */
  undone: string;
  /** Fields that say themselves what is wrong with them: what is told of others is said here. */
  fields?: readonly string[];
}

/** Why a write did nothing, in the API's words, and what is wrong with each field that the form does not show. */
export function ProblemNotice({ problem, undone, fields = [] }: Props) {
  if (!problem) return null;
  const others = Object.entries(problem.details).filter(
    ([field, said]) => typeof said === "string" && !fields.includes(field),
  );
  const isSaidBelow = others.length < Object.keys(problem.details).length && problem.status === 422;
  return (
    <div class="notice bad" role="alert">
      <div class="break">
        <strong>{undone}.</strong> {isSaidBelow ? "Look at the fields that are marked." : sentenceOf(problem)}
        {isSaidBelow && others.length > 0 && (
          <ul>
            {others.map(([field, said]) => (
              <li key={field}>
                {field}: {String(said)}
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
  return problem.message[0]?.toUpperCase() + problem.message.slice(1);
}
