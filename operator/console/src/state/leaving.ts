import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";

interface Keeper {
  /** Whether leaving would lose something. */
  isKept: () => boolean;
  /** Takes the reader back to the form, and asks. */
  ask: () => void;
}

/** The form that is open and filled. */
let keeper: Keeper | undefined;

// Added while this module is loaded, and so before the router's own: the browser calls them in the order in which they were added.
addEventListener("popstate", (event) => {
  if (!keeper?.isKept()) return;
  event.stopImmediatePropagation();
  keeper.ask();
});
addEventListener("beforeunload", (event) => {
  if (keeper?.isKept()) event.preventDefault();
});

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
  useLayoutEffect(() => {
    if (!isFilled || asks) return;
    const here = location.href;
    keeper = {
      isKept: () => !isFree.current,
      ask: () => {
        history.pushState(null, "", here);
        ask(true);
      },
    };
    return () => {
      keeper = undefined;
    };
  }, [isFilled, asks]);
  const isLeft = useRef(false);
  const leave = () => {
    // A browser that closes a dialog by force tells so twice.
    if (isLeft.current) return;
    isLeft.current = true;
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
