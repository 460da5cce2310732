import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "./icons.tsx";
import { Lost } from "./lost.tsx";

interface Props {
  title: string;
  /** Called when the reader closes it: Escape or the cross. Whoever asks first leaves it where it is, and it stays open. */
  onClose: () => void;
  /** A panel at the side in place of a box in the middle. */
  side?: boolean;
  /** As wide as the page lets it be: for what needs two columns. */
  wide?: boolean;
  children: ComponentChildren;
}

/** A modal dialog: the browser's own, which keeps the focus inside and gives it back. `children`: a `.body` and a `footer`. */
export function Dialog({ title, onClose, side = false, wide = false, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const name = useId();
  // Not a passive effect: its cleanup might give the focus back after whoever closed the dialog has put it elsewhere.
  useLayoutEffect(() => {
    const dialog = element.current;
    if (!dialog) return;
    const before = document.activeElement as HTMLElement | null;
    if (!dialog.open) dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={["dialog", side && "side", wide && "wide"].filter(Boolean).join(" ")}
      aria-labelledby={name}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClose={(event) => {
        // A second Escape closes a dialog by force: one that asks whether to leave comes back with its question.
        const dialog = event.currentTarget;
        if (!dialog.isConnected) return;
        onClose();
        requestAnimationFrame(() => dialog.isConnected && !dialog.open && dialog.showModal());
      }}
    >
      <header>
        <h2 id={name}>{title}</h2>
        <button type="button" class="button plain tiny" onClick={onClose} aria-label="Close">
          <Icon shape="cross" />
        </button>
      </header>
      <Lost />
      {children}
    </dialog>
  );
}
