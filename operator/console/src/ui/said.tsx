import { sentence } from "../pure/texts.ts";

/** A sentence of the operator's: what it has between backticks is a line for a terminal. `isPart`: it does not begin what is read. */
export function Said({ text, isPart }: { text: string; isPart?: boolean }) {
  const parts = (isPart ? text : sentence(text)).split("`");
  return <span class="break">{parts.map((part, place) => (place % 2 ? <code key={part}>{part}</code> : part))}</span>;
}
