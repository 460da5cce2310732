import { sortedConditions, spaced, type Tone, toneOf } from "../../pure/conditions.ts";
import type { Condition } from "../../pure/shapes.ts";
import { Icon } from "../../ui/icons.tsx";
import { Said } from "../../ui/said.tsx";
import { Time } from "../../ui/time.tsx";

const SHAPES: Record<Tone, Parameters<typeof Icon>[0]["shape"]> = {
  bad: "cross",
  warn: "warning",
  busy: "clock",
  calm: "moon",
  good: "check",
  past: "circle",
};

/** What is true of the App, what needs a look first. */
export function Conditions({ conditions }: { conditions: Condition[] }) {
  if (conditions.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="conditions">
      <header>
        <h2 id="conditions">Conditions</h2>
      </header>
      <ul class="conditions">
        {sortedConditions(conditions).map((each) => (
          <Line key={each.type} condition={each} />
        ))}
      </ul>
    </section>
  );
}

function Line({ condition }: { condition: Condition }) {
  const tone = toneOf(condition);
  return (
    <li class={tone}>
      <Icon shape={SHAPES[tone]} />
      <div>
        <p>
          <b>{spaced(condition.type)}</b>: {condition.status}
          {condition.reason && <span class="muted">, {spaced(condition.reason).toLowerCase()}</span>}
          {condition.since && (
            <span class="small muted since">
              <Time at={condition.since} />
            </span>
          )}
        </p>
        {condition.message && (
          <p class="small muted">
            <Said text={condition.message} />
          </p>
        )}
      </div>
    </li>
  );
}
