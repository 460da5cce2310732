import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { readLogs } from "../../api/pods.ts";
import { Problem, problemOf } from "../../api/problem.ts";
import type { App, OneDeployment, Pod, PodLog } from "../../pure/shapes.ts";
import { useNewest } from "../../state/newest.ts";
import { Action, type Right } from "../../ui/action.tsx";
import { Copy } from "../../ui/copy.tsx";

const LINES = 200;

interface Props {
  app: App;
  row: OneDeployment;
  pod: Pod;
  right?: Right;
}

/** The last lines that a pod logged: read when they are asked for, under the caller's right to `pods/log`. */
export function Logs({ app, row, pod, right }: Props) {
  const [logs, setLogs] = useState<PodLog>();
  const [problem, setProblem] = useState<Problem>();
  const [isReading, setReading] = useState(false);
  const [previous, setPrevious] = useState(false);
  const request = useNewest();
  /** The newest read counts: what was asked for before it may be of the other container. */
  const read = async (ofPrevious: boolean) => {
    const signal = request.begin();
    setReading(true);
    const found = await readLogs(app.id, row.id, pod.name, ofPrevious, LINES, signal).catch(problemOf);
    if (signal.aborted) return;
    setLogs(found instanceof Problem ? undefined : found);
    setProblem(found instanceof Problem ? found : undefined);
    setReading(false);
  };
  const isAsked = logs !== undefined || problem !== undefined;
  const choose = (ofPrevious: boolean) => {
    setPrevious(ofPrevious);
    if (!isAsked && !isReading) return;
    setLogs(undefined);
    setProblem(undefined);
    void read(ofPrevious);
  };
  return (
    <div class="column logs">
      <div class="buttons">
        <Action right={right} onClick={() => void read(previous)} tiny disabled={isReading}>
          {isReading ? "Reading…" : isAsked ? "Refresh" : `Show the last ${LINES} lines`}
        </Action>
        {pod.restarts > 0 && (
          <label class="small">
            <input type="checkbox" checked={previous} onChange={(event) => choose(event.currentTarget.checked)} /> of
            the container before the last restart
          </label>
        )}
        {logs && logs.lines.length > 0 && <Copy text={logs.lines.join("\n")} label="Copy the lines" />}
      </div>
      {right && !right.allowed && <p class="small muted break">You may not read logs. It takes: {right.needs}.</p>}
      {problem && (
        <p class="small wrong break" role="alert">
          {problem.message}
        </p>
      )}
      {logs && <Lines logs={logs} pod={pod.name} />}
    </div>
  );
}

function Lines({ logs, pod }: { logs: PodLog; pod: string }) {
  const box = useRef<HTMLPreElement>(null);
  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [logs]);
  if (logs.lines.length === 0) {
    return <p class="small muted break">{logs.message ?? `It logged nothing${logs.previous ? " before" : ""}.`}</p>;
  }
  return (
    <>
      {logs.is_cut && <p class="small muted">The last {logs.lines.length} lines; there are more.</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard */}
      <pre ref={box} class="log" tabIndex={0} role="log" aria-live="off" aria-label={`Log of ${pod}`}>
        {logs.lines.join("\n")}
      </pre>
    </>
  );
}
