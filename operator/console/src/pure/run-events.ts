/** Events of background runs, as they come. Pure. */
import type { BackgroundEvent, Schemas } from "./shapes.ts";

/** Events that are kept at once: older ones are left out. */
const KEPT = 500;

/** What is known of a run's events, the newest first. */
export interface EventLog {
  /** The number of the last one, also if it is not shown. */
  last: number;
  shown: BackgroundEvent[];
  ended: boolean;
}

/** A log with what came after it. Parts of texts, which are many, are left out; what came twice is there once. */
export function withEvents(log: EventLog | undefined, { data, ended }: Schemas["BackgroundEvents"]): EventLog {
  const { last = 0, shown = [] } = log ?? {};
  const fresh = data.filter(({ sequence }) => sequence > last);
  const worth = fresh.filter(({ type }) => !type.endsWith(".delta")).reverse();
  return { last: fresh.at(-1)?.sequence ?? last, shown: [...worth, ...shown].slice(0, KEPT), ended };
}

/** `answer (attempt 2)`: what an event is about, as far as the caller may know it. */
export function aboutOf({ type, data }: BackgroundEvent): string {
  const node = type.startsWith("node.") && data.id;
  return [node, Number(data.attempt) > 1 && `(attempt ${data.attempt})`].filter(Boolean).join(" ");
}
