import { useRef, useState } from "preact/hooks";
import { sendAgain } from "../../api/callbacks.ts";
import { answerTo } from "../../pure/callbacks.ts";
import { count, NONE, shortId } from "../../pure/run-words.ts";
import type { App, BackgroundRun, Callback } from "../../pure/shapes.ts";
import { refresh, update } from "../../state/query.ts";
import { useWrite } from "../../state/write.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { FigureTable } from "../../ui/figures.tsx";
import { useKeptFocus } from "../../ui/kept-focus.ts";
import { usePoll } from "../../ui/poll.ts";
import { ProblemNotice } from "../../ui/problem.tsx";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";
import { toast } from "../../ui/toasts.tsx";

const LOOKED_AGAIN_AFTER = 4_000;

interface Props {
  app: App;
  run: BackgroundRun;
  right?: Right;
}

/** Whom the end of a run is told to, and how that went. One can be told once more. */
export function Callbacks({ app, run, right }: Props) {
  const [asked, ask] = useState<number>();
  const write = useWrite();
  const element = useRef<HTMLDivElement>(null);
  const key = `open-run ${run.id}`;
  const isPending = run.callbacks.some(({ state }) => state === "pending");
  usePoll(LOOKED_AGAIN_AFTER, () => isPending && run.ended_at && refresh(key));
  useKeptFocus(() => element.current?.querySelector("button"), element);
  if (run.callbacks.length === 0) return null;
  const send = async ({ n, host }: Callback) => {
    const isSent = await write.run(async () => {
      const after = await sendAgain(app.id, run.id, n);
      update<BackgroundRun>(key, () => after);
      toast(`Run ${shortId(run.id)}: the callback to ${host} is sent again`);
    });
    if (isSent) ask(undefined);
  };
  return (
    <div ref={element}>
      <h3>Callbacks</h3>
      <FigureTable
        label="Callbacks"
        head={["RECEIVER", "STATE", "TRIES", "LAST TRY", "NEXT TRY"]}
        rows={run.callbacks.map((each) => [
          <>
            <span class="break">{each.host}</span>
            <span class="buttons">
              {asked === each.n ? (
                <>
                  <span class="small">The receiver may have it already: it knows it by its id.</span>
                  <Action tiny onClick={() => ask(undefined)}>
                    Leave it
                  </Action>
                  <Action tiny kind="primary" disabled={write.isBusy} onClick={() => void send(each)}>
                    Send it again
                  </Action>
                </>
              ) : (
                <Action tiny right={right} why={!run.ended_at && "its run has not ended"} onClick={() => ask(each.n)}>
                  Send again…<span class="hidden-label"> to {each.host}</span>
                </Action>
              )}
            </span>
          </>,
          <>
            <Status word={each.state} /> <span class="small muted break">{answerTo(each)}</span>
          </>,
          count(each.tries),
          each.last_at ? <Time at={each.last_at} /> : NONE,
          each.next_at ? <Time at={each.next_at} isPlanned /> : NONE,
        ])}
      />
      <ProblemNotice problem={write.problem} undone="It is not sent again" />
    </div>
  );
}
