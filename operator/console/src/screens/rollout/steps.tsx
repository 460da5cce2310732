import type { Step } from "../../pure/rollout.ts";
import { Icon } from "../../ui/icons.tsx";

const SHAPES = { done: "check", now: "ring", todo: "circle", failed: "cross" } as const;
const SAID = { done: "done", now: "at this moment", todo: "still to come", failed: "the end of it" };

/** The steps of a rollout, each with what there is to say of it. What changes is told to screen readers. */
export function Steps({ steps }: { steps: Step[] }) {
  const now = steps.find((each) => each.state === "now" || each.state === "failed") ?? steps.at(-1);
  return (
    <>
      <ol class="steps">
        {steps.map((each) => (
          <li key={each.name} class={`step ${each.state}`} aria-current={each.state === "now" ? "step" : undefined}>
            <span class="dot">
              <Icon shape={SHAPES[each.state]} spins={each.state === "now"} />
            </span>
            <div>
              <p>
                <b>{each.name}</b>
                <span class="hidden-label">, {SAID[each.state]}</span>
              </p>
              {each.says && <p class="small break">{each.says}</p>}
            </div>
          </li>
        ))}
      </ol>
      <p class="hidden-label" role="status">
        {now && `${now.name}. ${now.says}`}
      </p>
    </>
  );
}
