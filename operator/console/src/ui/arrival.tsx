import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { layerOf, stays } from "../pure/layers.ts";
import { useLocation } from "../state/location.tsx";
import { title } from "./title.ts";

const HEADING_WITHIN = 60_000;
let isAnew = false;

/** The next screen is an arrival even though nothing was there before it: after the sign-in its heading gets the focus. */
export function arriveAnew(): void {
  isAnew = true;
}

/** What a page load does for its reader, done for a change of screens: the new one is told, the focus is on its heading, and a dialog moves nothing. */
export function Arrival() {
  const { url, path } = useLocation();
  const layer = layerOf(path);
  const before = useRef(layer);
  const scrolled = scrollY;
  const [arrivals, count] = useState(0);
  const isSame = stays(before.current, layer);
  const isSameSubject = before.current.subject === layer.subject;
  // The router scrolls each new path to its top before this runs.
  useLayoutEffect(() => {
    if (isSame) scrollTo(0, scrolled);
  }, [path]);
  useEffect(() => {
    before.current = layer;
    const isFirst = isAnew;
    isAnew = false;
    if (isSame && !isFirst) return;
    count((n) => n + 1);
    // A link that was followed may be gone with its screen: then the focus is nowhere.
    const isLost = document.activeElement === null || document.activeElement === document.body;
    if (isFirst || !isSameSubject || isLost) return focusHeading();
  }, [url]);
  return (
    <p class="hidden-label" role="status" aria-live="polite">
      {arrivals > 0 && title.value}
    </p>
  );
}

/** Puts the focus on the main heading as soon as it is there; whoever has gone on by then is left alone. */
function focusHeading(): () => void {
  const main = document.getElementById("main");
  const from = document.activeElement;
  const seek = () => {
    const heading = main?.querySelector<HTMLElement>("h1:not(.loading)");
    if (!heading) return;
    stop();
    const at = document.activeElement;
    if (at && at !== document.body && (at !== from || main?.contains(at))) return;
    if (document.querySelector("dialog[open]")) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  };
  const observer = new MutationObserver(seek);
  const timer = setTimeout(() => stop(), HEADING_WITHIN);
  const stop = () => {
    observer.disconnect();
    clearTimeout(timer);
  };
  if (main) observer.observe(main, { childList: true, subtree: true });
  seek();
  return stop;
}
