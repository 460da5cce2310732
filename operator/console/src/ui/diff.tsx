import { useMemo, useState } from "preact/hooks";
import { countHidden, type DiffLine, type Piece, piecesOf, readDiff } from "../pure/diff.ts";
import { Action } from "./action.tsx";
import { Copy } from "./copy.tsx";

interface Props {
  /** A unified diff; empty where the sides are equal. */
  text: string;
  /** What the diff is of, for a screen reader and above the table, such as `Flow`. */
  label: string;
  /** What to say where nothing differs. */
  same?: string;
}

const LINES_FIRST = 300;
const LINES_MORE = 5_000;
const LINE_MOST = 1_000;
const SIGNS = { added: "+", removed: "−", same: "", place: "", note: "" } as const;
const SAID = { added: "added", removed: "removed", same: "", place: "", note: "" } as const;

/** A unified diff as a table: each line numbered, signed and coloured, and what a text hides told. Long ones come in parts. */
export function Diff({ text, label, same = "The flow is the same." }: Props) {
  const diff = useMemo(() => readDiff(text), [text]);
  const hidden = useMemo(
    () => diff.lines.reduce((sum, line) => sum + (line.kind === "added" ? countHidden(line.text) : 0), 0),
    [diff],
  );
  const [shown, show] = useState(LINES_FIRST);
  const isWhole = shown > LINES_FIRST;
  const { lines } = diff;
  if (lines.length === 0) return <p class="muted">{same}</p>;
  const left = lines.length - shown;
  return (
    <div class="stack">
      <div class="diff-head small">
        <strong>{label}</strong>
        {diff.from && (
          <span class="muted break">
            {diff.from} → {diff.to}
          </span>
        )}
        <span>
          <span class="plus">+{diff.added.toLocaleString("en")}</span>{" "}
          <span class="minus">−{diff.removed.toLocaleString("en")}</span> lines
        </span>
        <Copy text={text} label="Copy the diff" />
      </div>
      {hidden > 0 && (
        <div class="notice warn small">
          <span>
            {hidden === 1 ? "One character" : `${hidden.toLocaleString("en")} characters`} of what is added would not be
            seen: shown as <span class="hidden-character">U+…</span>
          </span>
        </div>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and a keyboard has to reach it. */}
      <section class="diff" tabIndex={0} aria-label={`${label}: what changes`}>
        <table>
          <thead class="hidden-label">
            <tr>
              <th scope="col">Line before</th>
              <th scope="col">Line after</th>
              <th scope="col">Change</th>
              <th scope="col">Text</th>
            </tr>
          </thead>
          <tbody>
            {lines.slice(0, shown).map((line, at) => (
              <Line key={at} line={line} most={isWhole ? undefined : LINE_MOST} />
            ))}
          </tbody>
        </table>
      </section>
      {(left > 0 || (!isWhole && lines.some((line) => line.text.length > LINE_MOST))) && (
        <Action tiny onClick={() => show(shown + LINES_MORE)}>
          {left > LINES_MORE
            ? `Show ${LINES_MORE.toLocaleString("en")} of ${left.toLocaleString("en")} more lines`
            : "Show all"}
        </Action>
      )}
    </div>
  );
}

function Line({ line, most }: { line: DiffLine; most?: number }) {
  return (
    <tr class={line.kind}>
      <td class="number">{line.before}</td>
      <td class="number">{line.after}</td>
      <td class="sign">
        <span aria-hidden="true">{SIGNS[line.kind]}</span>
        {SAID[line.kind] && <span class="hidden-label">{SAID[line.kind]}</span>}
      </td>
      <td dir="ltr">
        <Pieces pieces={piecesOf(line, most)} />
      </td>
    </tr>
  );
}

/** A text in pieces: what differs marked, what is hidden told. */
export function Pieces({ pieces }: { pieces: Piece[] }) {
  return (
    <>
      {pieces.map((piece, at) => {
        const kind = piece.kind === "hidden" ? "hidden-character" : piece.kind === "left-out" ? "muted" : piece.kind;
        if (piece.differs) {
          return (
            <mark key={at} class={kind} title={piece.name}>
              {piece.text}
            </mark>
          );
        }
        return kind ? (
          <span key={at} class={kind} title={piece.name}>
            {piece.text}
          </span>
        ) : (
          piece.text
        );
      })}
    </>
  );
}
