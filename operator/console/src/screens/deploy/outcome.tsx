import type { Problem } from "../../api/problem.ts";
import { type Change, changesOf } from "../../pure/answers.ts";
import { sentence } from "../../pure/texts.ts";
import type { Sending } from "../../state/sending.ts";
import { Action } from "../../ui/action.tsx";
import { Columns } from "../../ui/columns.tsx";
import { Said } from "../../ui/said.tsx";

/** A write as a form shows it. */
export type Told = Omit<Sending<never>, "sent" | "send">;

export interface OutcomeProps {
  sending: Told;
  /** What is left to say where some of it stands at the fields already. */
  rest?: string;
  /** What it is called: `The deploy`. */
  what: string;
  /** Reads the preview again. */
  look?: () => void;
}

/** What became of a write that was not simply done: not known, changed meanwhile, or refused. Nothing where there is nothing to say. */
export function Outcome({ sending, rest, what, look }: OutcomeProps) {
  const { problem, isUncertain } = sending;
  if (problem === undefined || sending.isSending) return null;
  if (isUncertain) return <Unknown what={what} problem={problem} />;
  const changes = changesOf(problem);
  if (changes.length > 0) {
    const again = () => {
      sending.forget();
      look?.();
    };
    return <Changed changes={changes} look={again} />;
  }
  const said = rest ?? problem.message;
  if (problem.status === 401) {
    return <Refused says="Nothing was done: your session has ended. Sign in again, and go on here." />;
  }
  return said ? <Refused says={said} /> : null;
}

function Unknown({ what, problem }: { what: string; problem: Problem }) {
  return (
    <div class="notice warn" role="alert">
      <span class="break">
        <strong>{what} had no answer, so whether it was done is not known.</strong> Try again: however often it is sent,
        it is done once. <span class="small">({problem.message})</span>
      </span>
    </div>
  );
}

/** Why nothing can be sent at the moment after what became of the last try; empty where it can. */
export function waitsAfter(sending: Told): string {
  const { problem, isSending } = sending;
  return problem && !isSending && changesOf(problem).length > 0 ? "Look at the new preview first" : "";
}

/** Why nothing can be sent before the preview is there: the reason it is not, where there is one. */
export function waitsForPreview({ isCurrent, problem }: { isCurrent: boolean; problem?: Problem }): string {
  if (isCurrent) return "";
  if (!problem) return "Looking at what this would do…";
  const isReason = problem.status >= 400 && problem.status < 500 && problem.status !== 401;
  return isReason ? sentence(problem.message) : "What this would do is not known";
}

function Changed({ changes, look }: { changes: Change[]; look: () => void }) {
  return (
    <div class="notice warn changed" role="alert">
      <strong>Nothing was done: something has changed since the preview.</strong>
      <table>
        <Columns of={["Field", "Confirmed", "Now"]} />
        <tbody>
          {changes.map(({ field, confirmed, now }) => (
            <tr key={field}>
              <th scope="row">{field}</th>
              <td class="break">{confirmed}</td>
              <td class="break">{now}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <Action onClick={look}>Look at the new preview</Action>
    </div>
  );
}

function Refused({ says }: { says: string }) {
  return (
    <div class="notice bad" role="alert">
      <Said text={says} />
    </div>
  );
}
