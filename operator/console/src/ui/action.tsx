import type { ComponentChildren } from "preact";

export interface Right {
  allowed: boolean;
  needs: string | null;
}

/** Why a button does nothing at the moment: it keeps the focus until it is known what became of it. */
export const SENDING = "it is being sent";

interface Props {
  /** The caller's right; undefined while it is not known: the API decides then. */
  right?: Right;
  onClick?: () => void;
  href?: string;
  /** Why it cannot be done, whoever asks. */
  why?: string | false;
  kind?: "primary" | "danger" | "plain";
  tiny?: boolean;
  /** Nothing is done at the moment. It keeps the focus, unlike a button with HTML's `disabled`. */
  disabled?: boolean;
  type?: "button" | "submit";
  children: ComponentChildren;
}

/** A button or link that does something. Where it cannot be done it can still be reached, does nothing, and says why: which role is missing, or `why`. */
export function Action({ right, why, onClick, href, kind, tiny, disabled, type = "button", children }: Props) {
  const classes = ["button", kind, tiny && "tiny"].filter(Boolean).join(" ");
  const lacks = right?.allowed === false && (right.needs ?? "ask an administrator");
  if (lacks || why) {
    return (
      <button type="button" class={classes} aria-disabled="true" title={lacks || why || undefined}>
        {children}
        <span class="hidden-label"> ({lacks ? `you may not: ${lacks}` : why})</span>
      </button>
    );
  }
  if (href) {
    return (
      <a class={classes} href={href}>
        {children}
      </a>
    );
  }
  const act = disabled ? (event: Event) => event.preventDefault() : onClick;
  return (
    <button type={type} class={classes} onClick={act} aria-disabled={disabled ? "true" : undefined}>
      {children}
    </button>
  );
}
