import { useEffect, useRef } from "preact/hooks";
import type { Leaving } from "../state/leaving.ts";
import { Action } from "./action.tsx";

/** Asks whether what is filled in may be lost. */
export function Leave({ leaving }: { leaving: Leaving }) {
  const stay = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    stay.current?.focus();
    return () => {
      if (before?.isConnected) before.focus();
    };
  }, []);
  return (
    <div class="notice warn" role="alertdialog" aria-label="Leave?">
      <span>
        {leaving.isUncertain
          ? "Leave? The result is unknown, and only this form can try the same again."
          : "Leave? What you filled in is lost then."}
      </span>
      <span class="buttons">
        <Action onClick={leaving.leave}>Leave</Action>
        <button type="button" class="button primary" onClick={leaving.stay} ref={stay}>
          Stay
        </button>
      </span>
    </div>
  );
}
