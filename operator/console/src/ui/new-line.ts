import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** For a list of lines that a reader adds and removes: the focus goes to the line that is new, and to `[data-add]` after one was removed. */
export function useFocusOnLines<T extends HTMLElement>(count: number): RefObject<T | null> {
  const box = useRef<T>(null);
  const before = useRef(count);
  // Before the browser takes the next key: it belongs to the new line.
  useLayoutEffect(() => {
    const wanted = count > before.current ? "li:last-child input" : count < before.current ? "[data-add]" : undefined;
    before.current = count;
    if (wanted) box.current?.querySelector<HTMLElement>(wanted)?.focus();
  }, [count]);
  return box;
}
