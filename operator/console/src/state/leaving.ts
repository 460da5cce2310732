import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";

/** The way out of a dialog that has an address of its own. */
export interface Leaving {
  /** Whether the reader is being asked if what they filled in may be lost. */
  asks: boolean;
  /** Leaves; a filled form asks first, once. */
  close: () => void;
  /** Leaves, whatever is filled in. */
  leave: () => void;
  stay: () => void;
  /** Goes on to another screen, which takes the dialog's place. */
  goOn: (to: string) => void;
}

/** Leads back to what the dialog was opened from, else to `below`. `isFilled`: there is something to lose. */
export function useLeaving(isFilled: boolean, below: string): Leaving {
  const { route, wasPush } = useLocation() as ReturnType<typeof useLocation> & { wasPush: boolean };
  const isOpenedHere = useRef(wasPush).current;
  const [asks, ask] = useState(false);
  const isFree = useRef(false);
  isFree.current ||= asks;
  useEffect(() => {
    if (!isFilled || asks) return;
    const here = location.href;
    const back = (event: PopStateEvent) => {
      if (isFree.current) return;
      event.stopImmediatePropagation();
      history.pushState(null, "", here);
      ask(true);
    };
    const unload = (event: BeforeUnloadEvent) => {
      if (!isFree.current) event.preventDefault();
    };
    addEventListener("popstate", back, { capture: true });
    addEventListener("beforeunload", unload);
    return () => {
      removeEventListener("popstate", back, { capture: true });
      removeEventListener("beforeunload", unload);
    };
  }, [isFilled, asks]);
  const leave = () => {
    isFree.current = true;
    if (isOpenedHere) history.back();
    else route(below, true);
  };
  return {
    asks,
    close: () => (isFilled && !asks ? ask(true) : leave()),
    leave,
    stay: () => {
      isFree.current = false;
      ask(false);
    },
    goOn: (to) => {
      isFree.current = true;
      route(to, true);
    },
  };
}
