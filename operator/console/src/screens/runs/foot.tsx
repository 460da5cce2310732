import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useWrite } from "../../state/write.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { ProblemNotice } from "../../ui/problem.tsx";

/** What can be done with a run and not be taken back. */
export interface Deed {
  /** As its button says it: `Delete`. */
  does: string;
  /** What it means, before it is done. */
  says: string;
  why?: string | false;
  undone: string;
  gone?: string;
  act: () => Promise<unknown>;
  onDone: () => void;
}

interface Props {
  right?: Right;
  deeds: Deed[];
  /** What is asked about at first. */
  first?: string;
  /** Beside the buttons. */
  children?: ComponentChildren;
}

/** The foot of a run's dialog: what can be done with the run, once more asked about. */
export function Foot({ right, deeds, first, children }: Props) {
  const write = useWrite();
  const [asked, ask] = useState(right?.allowed === false ? undefined : first);
  const [tried, keep] = useState<Deed>();
  const deed = deeds.find(({ does, why }) => does === asked && !why);
  const doIt = async (deed: Deed) => {
    keep(deed);
    if (!(await write.run(deed.act))) return;
    ask(undefined);
    deed.onDone();
  };
  return (
    <footer>
      <ProblemNotice problem={write.problem} undone={tried?.undone ?? ""} gone={tried?.gone} />
      <div class="buttons end">
        {deed ? (
          <>
            <span>{deed.says}</span>
            <Action onClick={() => ask(undefined)}>Keep it</Action>
            <Action kind="danger" disabled={write.isBusy} onClick={() => void doIt(deed)}>
              {deed.does} this run
            </Action>
          </>
        ) : (
          <>
            {children}
            {deeds.map(({ does, why }) => (
              <Action key={does} right={right} why={why} kind="danger" onClick={() => ask(does)}>
                {does}…
              </Action>
            ))}
          </>
        )}
      </div>
    </footer>
  );
}
