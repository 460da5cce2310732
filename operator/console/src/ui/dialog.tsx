import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon } from "./icons.tsx";

interface Props {
  title: string;
  /** Called when the reader closes it: Escape, the cross, or a click beside it. */
  onClose: () => void;
  /** A panel at the side in place of a box in the middle. */
  side?: boolean;
  children: ComponentChildren;
}

/** A modal dialog: the browser's own, which keeps the focus inside and gives it back. `children`: a `.body` and a `footer`. */
export function Dialog({ title, onClose, side = false, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
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
      class={side ? "dialog side" : "dialog"}
      aria-labelledby={name}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2 id={name}>{title}</h2>
        <button type="button" class="button plain tiny" onClick={onClose} aria-label="Close">
          <Icon shape="cross" />
        </button>
      </header>
      {children}
    </dialog>
  );
}
