import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { keep } from "./keeper.ts";
import { useLocation } from "./location.tsx";

/** The way out of a dialog that has an address of its own. */
export interface Leaving {
  /** Whether the reader is being asked if what they filled in may be lost. */
  asks: boolean;
  /** Whether something was sent of which it is not known what became: that is lost, too. */
  isUncertain: boolean;
  tellUncertain: (is: boolean) => void;
  /** Leaves; a filled form asks first, once. */
  close: () => void;
  /** Leaves, whatever is filled in. */
  leave: () => void;
  stay: () => void;
  /** Goes on to another screen, which takes the dialog's place. */
  goOn: (to: string) => void;
}

/** Leads back to what the dialog was opened from, else to `below`; or does what `below` does. `hasEdits`: there is something to lose. */
export function useLeaving(hasEdits: boolean, below: string | (() => void)): Leaving {
  const { route, wasPush } = useLocation();
  const isOpenedHere = useRef(wasPush).current;
  const [asks, ask] = useState(false);
  const [isUncertain, tellUncertain] = useState(false);
  const isFilled = hasEdits || isUncertain;
  const isFree = useRef(false);
  isFree.current ||= asks;
  useLayoutEffect(() => {
    if (!isFilled || asks) return;
    const here = location.href;
    return keep({
      isKept: () => !isFree.current,
      ask: () => {
        history.pushState(null, "", here);
        ask(true);
      },
    });
  }, [isFilled, asks]);
  const isLeft = useRef(false);
  const leave = () => {
    // A browser that closes a dialog by force tells so twice.
    if (isLeft.current) return;
    isLeft.current = true;
    isFree.current = true;
    if (typeof below === "function") below();
    else if (isOpenedHere) history.back();
    else route(below, true);
  };
  return {
    ...{ asks, isUncertain, tellUncertain },
    close: () => (isFilled && !asks ? ask(true) : leave()),
    leave,
    stay: () => {
      isFree.current = false;
      ask(false);
    },
    goOn: (to) => {
      isFree.current = true;
      route(to, true);
      requestAnimationFrame(focusHeading);
    },
  };
}

/** What the dialog was opened from may be gone with the screen below: the keyboard then begins at the heading of the new one. */
function focusHeading(): void {
  if (document.activeElement !== document.body) return;
  document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
}
