/** Conversations by row, in words. Pure. */
import type { Conversations } from "./shapes.ts";
import { plural } from "./texts.ts";

/** `3 conversations, 1 of them active, 12 moved`: those of one row, how many had a turn a short while ago, and how many have left it. */
export function conversationsInWords({
  sessions,
  recent,
  moved,
}: Pick<Conversations, "sessions" | "recent" | "moved">): string {
  const active = recent > 0 ? `, ${recent.toLocaleString("en")} of them active` : "";
  const left = moved > 0 ? `, ${moved.toLocaleString("en")} moved to another row` : "";
  return plural(sessions, "conversation") + active + left;
}
