import { piecesOfText } from "../../pure/questions.ts";
import { Pieces } from "../../ui/diff.tsx";

/** A text that a run or a model wrote: nothing in it is a link or markup, and what one would not see is marked. */
export function Verbatim({ text }: { text: string }) {
  return (
    <span class="value break" dir="auto">
      <Pieces pieces={piecesOfText(text)} />
    </span>
  );
}
