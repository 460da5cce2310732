import { useState } from "preact/hooks";
import { countHidden, visible } from "../../pure/diff.ts";
import { Action } from "../../ui/action.tsx";
import { Copy } from "../../ui/copy.tsx";
import { Pieces } from "../../ui/diff.tsx";

/** Letters of a text that are shown at first. */
const SHOWN_FIRST = 20_000;

/** The text of a flow, to read. */
export function Flow({ text }: { text: string | null }) {
  if (text === null) {
    return <p class="small muted">Its flow is not kept any more, or you may not read it.</p>;
  }
  return (
    <details class="record">
      <summary>Flow ({text.length.toLocaleString("en")} characters)</summary>
      <FlowText text={readable(text)} label="Flow" raw={text} />
    </details>
  );
}

function FlowText({ text, label, raw = text }: { text: string; label: string; raw?: string }) {
  const [isWhole, showAll] = useState(false);
  const shown = isWhole ? text : text.slice(0, SHOWN_FIRST);
  const hidden = countHidden(text.replaceAll("\n", ""));
  return (
    <div class="stack">
      {hidden > 0 && (
        <p class="notice warn small">
          {hidden.toLocaleString("en")} characters would not be seen: their codes are shown.
        </p>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and a keyboard has to reach it. */}
      <section class="flow-text" tabIndex={0} aria-label={label}>
        <pre dir="ltr">
          {shown.split("\n").map((line, at) => (
            <span key={at}>
              <Pieces pieces={visible(line)} />
              {"\n"}
            </span>
          ))}
        </pre>
      </section>
      <div class="buttons">
        <Copy text={raw} label={`Copy: ${label}`} />
        {shown.length < text.length && (
          <Action tiny onClick={() => showAll(true)}>
            Show all
          </Action>
        )}
      </div>
    </div>
  );
}

Flow.Text = FlowText;

/** A flow that is compact JSON, indented. */
function readable(text: string): string {
  if (text.includes("\n") || !text.startsWith("{")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
