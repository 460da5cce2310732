/** Server-sent events out of the text of a stream, as it comes in pieces. Pure. */

export interface Event {
  kind: string;
  data: string;
}

/** Reads on: the events that are whole by now, and the text that is not yet. Comments, ids and retry times are left out. */
export function readOn(rest: string, piece: string): { events: Event[]; rest: string } {
  const text = rest + piece;
  // A "\r" at the end may be half of a line's end.
  const whole = text.endsWith("\r") ? text.slice(0, -1) : text;
  const blocks = whole.replaceAll("\r\n", "\n").replaceAll("\r", "\n").split("\n\n");
  const left = blocks.pop() as string;
  const events = blocks.map(eventOf).filter((each) => each !== undefined);
  return { events, rest: text.endsWith("\r") ? `${left}\r` : left };
}

function eventOf(block: string): Event | undefined {
  let kind = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const [, field, value = ""] = /^([^:]+)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "event") kind = value;
    if (field === "data") data.push(value);
  }
  return data.length > 0 ? { kind, data: data.join("\n") } : undefined;
}
