import { sentence } from "../pure/texts.ts";

/** A sentence of the operator's: what it has between backticks is a line for a terminal. */
export function Said({ text }: { text: string }) {
  const parts = sentence(text).split("`");
  return <span class="break">{parts.map((part, place) => (place % 2 ? <code key={part}>{part}</code> : part))}</span>;
}
