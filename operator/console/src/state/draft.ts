import { useEffect, useState } from "preact/hooks";

/** What forms hold whose place on the page went away while the reader was still at their address. */
const drafts = new Map<string, unknown>();

/** What a form holds. It is there again where the form was taken off the page by something else than the reader, such as an App that could not be read for a while. `forget`: the reader has ended a form that has no address of its own. */
export function useDraft<T>(key: string, first: T): [held: T, hold: (held: T) => void, forget: () => void] {
  const [held, hold] = useState<T>(() => (drafts.get(key) as T | undefined) ?? first);
  useEffect(() => {
    const here = location.pathname;
    return () => {
      if (location.pathname !== here) drafts.delete(key);
    };
  }, [key]);
  const keep = (next: T) => {
    drafts.set(key, next);
    hold(next);
  };
  return [held, keep, () => void drafts.delete(key)];
}
