import type { ComponentChildren } from "preact";
import { callerLines } from "../pure/callers.ts";
import {
  type Consequence,
  consequencesOf,
  differs,
  type Pair,
  type Preview,
  pairsOf,
  summaryOf,
} from "../pure/preview-words.ts";
import type { Previewed } from "../state/preview.ts";
import { Action } from "./action.tsx";
import { Callers } from "./callers.tsx";
import { Diff } from "./diff.tsx";
import { Icon } from "./icons.tsx";
import { Said } from "./said.tsx";
import { Skeleton } from "./states.tsx";

interface Props<T extends Preview> {
  preview: Previewed<T>;
  /** What to say while the form cannot be previewed. */
  waits?: string;
  /** What else happens, before the rest. */
  also?: (data: T) => Consequence[];
  /** What stands above the diff, which may be long. */
  children?: ComponentChildren;
}

/** What a form would do if it were sent now: from what to what, what happens to the pods, whom it may break, warnings, and the diff of the flow. */
export function PreviewView<T extends Preview>({ preview, waits, also, children }: Props<T>) {
  const { data, isCurrent, isReading, problem, refresh } = preview;
  return (
    <section class="outlook" aria-label="Preview" aria-busy={isReading}>
      <header>
        <h3>Preview</h3>
        {isReading && data && (
          <span class="small muted reading">
            <Icon shape="ring" spins /> Looking…
          </span>
        )}
      </header>
      {waits && <p class="small muted">{waits}</p>}
      {problem?.status === 401 && <p class="small muted">Sign in again to see what this would do.</p>}
      {problem && problem.status !== 401 && (
        <div class="notice bad" role="alert">
          <Said text={problem.message} />
          <Action tiny onClick={refresh}>
            Retry
          </Action>
        </div>
      )}
      {!data && isReading && <Skeleton lines={5} />}
      {data && (
        <div class={isCurrent ? "told" : "told old"}>
          <Pairs pairs={pairsOf(data)} />
          <Consequences of={[...(also?.(data) ?? []), ...consequencesOf(data)]} />
          <Callers lines={callerLines(data.callers)} />
          <Warnings warnings={data.warnings} />
        </div>
      )}
      {children}
      {data?.from && (
        <div class={isCurrent ? "told" : "told old"}>
          <Diff text={data.flow_diff} label="Flow" same="The flow is the same as what is live." />
        </div>
      )}
      <p class="hidden-label" role="status">
        {data && isCurrent ? summaryOf(data) : ""}
      </p>
    </section>
  );
}

function Pairs({ pairs }: { pairs: Pair[] }) {
  return (
    <dl class="facts pairs">
      {pairs.map((pair) => (
        <OnePair key={pair.label} pair={pair} />
      ))}
    </dl>
  );
}

function OnePair({ pair }: { pair: Pair }) {
  const { label, from, to } = pair;
  return (
    <>
      <dt>{label}</dt>
      <dd>
        {differs(pair) ? (
          <>
            <span class="hidden-label">from </span>
            <span class="was">{from}</span>
            <span aria-hidden="true" class="arrow">
              →
            </span>
            <span class="hidden-label"> to </span>
            <strong>{to}</strong>
          </>
        ) : (
          <span class={from === undefined ? undefined : "muted"}>{from ?? to}</span>
        )}
      </dd>
    </>
  );
}

const SHAPES = { calm: "circle", restart: "restart", attention: "warning" } as const;

export function Consequences({ of }: { of: Consequence[] }) {
  return (
    <ul class="consequences">
      {of.map(({ kind, says }) => (
        <li key={says} class={kind}>
          <Icon shape={SHAPES[kind]} />
          <Said text={says} />
        </li>
      ))}
    </ul>
  );
}

function Warnings({ warnings }: { warnings: string[] }) {
  if (warnings.length === 0) return null;
  return (
    <ul class="warnings" aria-label="Warnings">
      {warnings.map((each) => (
        <li key={each} class="notice warn small">
          <Said text={each} />
        </li>
      ))}
    </ul>
  );
}
