/** Times as `<input type="datetime-local">` has them: in the reader's own zone. */

/** `2026-11-26T18:25` of an RFC 3339 time; empty for none. `toSeconds`: `2026-11-26T18:25:07`, for an input with a step of one. */
export function toLocal(time: string | null | undefined, toSeconds = false): string {
  if (!time) return "";
  const found = new Date(time);
  const shifted = new Date(found.getTime() - found.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, toSeconds ? 19 : 16);
}

/** The RFC 3339 time in UTC of what the input has; undefined for none. */
export function fromLocal(text: string): string | undefined {
  const found = text ? new Date(text) : undefined;
  return found && !Number.isNaN(found.getTime()) ? found.toISOString().replace(".000Z", "Z") : undefined;
}

/** The time that the input has, where that is another one than it was filled with; else that one, seconds and all. */
export function fromLocalOr(before: string | null | undefined, text: string): string | undefined {
  return before && toLocal(before) === text ? before : fromLocal(text);
}
