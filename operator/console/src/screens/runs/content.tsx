import type { ComponentChildren } from "preact";
import { Action, type Right } from "../../ui/action.tsx";
import { Copy } from "../../ui/copy.tsx";

const WHY: Record<string, string> = {
  denied: "You may not see inputs and outputs.",
  not_recorded: "Inputs, outputs and error texts are not recorded: set the App's spec.runs.content.",
};

/** What a run was given and gave, or why it is not here. */
export function Contents({
  state,
  right,
  onShow,
  children,
}: {
  state: string;
  right?: Right;
  onShow: () => void;
  children: ComponentChildren;
}) {
  if (state === "included") return <div class="stack">{children}</div>;
  if (WHY[state]) return <p class="muted">{WHY[state]}</p>;
  return (
    <div>
      <Action right={right} onClick={onShow}>
        Show inputs and outputs
      </Action>
    </div>
  );
}

/** A value as JSON, or a text as it is. Nothing where there is none. */
export function Content({ label, value }: { label: string; value: unknown }) {
  if (value == null) return null;
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return (
    <div class="content">
      <h3>
        {label} <Copy text={text} label={`Copy: ${label}`} />
      </h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys */}
      <section class="text" tabIndex={0} aria-label={label}>
        <pre>{text}</pre>
      </section>
    </div>
  );
}
