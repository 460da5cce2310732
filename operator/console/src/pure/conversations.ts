/** Conversations by row, in words. Pure. */
import type { Conversations } from "./shapes.ts";
import { plural } from "./texts.ts";

/** `3 conversations, 1 of them active`: those of one row, and how many had a turn a short while ago. */
export function conversationsInWords({ sessions, recent }: Pick<Conversations, "sessions" | "recent">): string {
  return plural(sessions, "conversation") + (recent > 0 ? `, ${recent.toLocaleString("en")} of them active` : "");
}
