/** What a field has, or in other letters that it has nothing. */
export function Said({ text }: { text: string | null }) {
  if (text === null) return <em class="muted">not set</em>;
  return text === "" ? <em class="muted">empty</em> : <span>{text}</span>;
}
