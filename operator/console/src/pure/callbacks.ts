/** Callbacks of background runs in words. Pure. */
import type { Callback } from "./shapes.ts";

/** What came of the last try: `HTTP 500`, or why the receiver was not reached. Empty before the first one. */
export function answerTo({ status, error }: Pick<Callback, "status" | "error">): string {
  return [status !== null && `HTTP ${status}`, error].filter(Boolean).join(": ");
}
