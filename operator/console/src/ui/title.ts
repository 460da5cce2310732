import { useEffect } from "preact/hooks";
import { signal } from "../state/signal.ts";

/** The title of the page without the console's name; also what is told to screen readers on arrival. */
export const title = signal("");

title.subscribe((says) => {
  document.title = says ? `${says} · Dynamiq` : "Dynamiq";
});

/** Names the page by the most particular part first: `History · Customer support`. */
export function useTitle(...parts: (string | false | undefined)[]): void {
  const whole = parts.filter(Boolean).join(" · ");
  useEffect(() => {
    title.value = whole;
  }, [whole]);
}
