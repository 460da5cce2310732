import { useEffect, useRef } from "preact/hooks";
import { listen } from "../state/listen.ts";

/** Does something every so many milliseconds while the page is seen, and at once when it is seen again after longer. */
export function usePoll(every: number, does: () => void): void {
  const latest = useRef(does);
  latest.current = does;
  useEffect(() => {
    let last = Date.now();
    const look = () => {
      if (document.hidden || Date.now() - last < every * 0.9) return;
      last = Date.now();
      latest.current();
    };
    const timer = setInterval(look, every);
    const end = listen("visibilitychange", look, document);
    return () => {
      clearInterval(timer);
      end();
    };
  }, [every]);
}
