import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useWrite } from "../../state/write.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";

interface Props {
  /** What cannot be taken back, as its button says it: `Delete`. */
  does: string;
  /** What it means, before it is done. */
  says: string;
  right?: Right;
  why?: string | false;
  undone: string;
  gone?: string;
  act: () => Promise<unknown>;
  onDone: () => void;
  /** Beside the button. */
  children?: ComponentChildren;
}

/** The foot of a run's dialog: what can be done with the run, once more asked about. */
export function Foot({ does, says, right, why, undone, gone, act, onDone, children }: Props) {
  const write = useWrite();
  const [isAsking, ask] = useState(false);
  const doIt = async () => {
    if (!(await write.run(act))) return;
    ask(false);
    onDone();
  };
  return (
    <footer>
      <ProblemNotice problem={write.problem} undone={undone} gone={gone} />
      <div class="buttons end">
        {isAsking ? (
          <>
            <span>{says}</span>
            <Action onClick={() => ask(false)}>Keep it</Action>
            <Action kind="danger" disabled={write.isBusy} onClick={() => void doIt()}>
              {does} this run
            </Action>
          </>
        ) : (
          <>
            {children}
            <Action right={right} why={why} kind="danger" onClick={() => ask(true)}>
              {does}…
            </Action>
          </>
        )}
      </div>
    </footer>
  );
}
