import { aroundName, type CallerLine } from "../pure/callers.ts";
import { visible } from "../pure/diff.ts";
import { sentence } from "../pure/texts.ts";
import { Pieces } from "./diff.tsx";

const CLASSES = { Breaking: "notice warn", Unknown: "notice unknown", Compatible: "", None: "muted" } as const;

/** Lists whom the version may break. Names are texts of users: hidden characters are shown. */
export function Callers({ lines }: { lines: CallerLine[] }) {
  if (lines.length === 0) return null;
  return (
    <div class="callers">
      <strong class="small">Callers</strong>
      <ul class="warnings" aria-label="Callers">
        {lines.map((line) => (
          <li key={line.message} class={`small ${CLASSES[line.result]}`}>
            <Line {...line} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Line(line: CallerLine) {
  const [before, name, after] = aroundName(line);
  return (
    <span class="break">
      {line.mark && <strong>{line.mark}: </strong>}
      {line.mark ? before : sentence(before)}
      {name && (
        <code dir="auto">
          <Pieces pieces={visible(name)} />
        </code>
      )}
      <Pieces pieces={visible(after)} />
    </span>
  );
}
