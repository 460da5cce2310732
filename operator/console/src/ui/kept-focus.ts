import type { RefObject } from "preact";
import { useLayoutEffect } from "preact/hooks";

/** Where what has the focus goes away with a rendering, gives the focus to what `to` finds by then. `within`: only what is in it counts. */
export function useKeptFocus(to: () => HTMLElement | null | undefined, within?: RefObject<Element | null>): void {
  const had = document.activeElement;
  const counts = !within || within.current?.contains(had);
  useLayoutEffect(() => {
    if (counts && had?.isConnected === false) to()?.focus();
  });
}
