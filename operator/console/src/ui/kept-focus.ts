import { useLayoutEffect } from "preact/hooks";

/** Where what has the focus goes away with a rendering, gives the focus to what `to` finds by then. */
export function useKeptFocus(to: () => HTMLElement | null | undefined): void {
  const had = document.activeElement;
  useLayoutEffect(() => {
    if (had?.isConnected === false) to()?.focus();
  });
}
