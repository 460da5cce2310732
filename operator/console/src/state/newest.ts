import { useEffect, useMemo } from "preact/hooks";

/** One request of a component: the newest. */
export interface Newest {
  /** Ends the one before, and gives the next one its signal. */
  begin: () => AbortSignal;
  end: () => void;
}

/** Of requests that a component makes when it is asked to the newest counts: the next one ends it, and so does the component's own end. */
export function useNewest(): Newest {
  const newest = useMemo(() => {
    let running: AbortController | undefined;
    const end = () => running?.abort();
    const begin = () => {
      end();
      running = new AbortController();
      return running.signal;
    };
    return { begin, end };
  }, []);
  useEffect(() => newest.end, []);
  return newest;
}
