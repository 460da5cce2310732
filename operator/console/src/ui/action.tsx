import type { ComponentChildren } from "preact";

export interface Right {
  allowed: boolean;
  needs: string | null;
}

interface Props {
  /** The caller's right; undefined while it is not known: the API decides then. */
  right?: Right;
  onClick?: () => void;
  href?: string;
  kind?: "primary" | "danger" | "plain";
  tiny?: boolean;
  disabled?: boolean;
  type?: "button" | "submit";
  children: ComponentChildren;
}

/** A button or link that does something. Without the right it can still be reached, does nothing, and says which role is missing. */
export function Action({ right, onClick, href, kind, tiny, disabled, type = "button", children }: Props) {
  const classes = ["button", kind, tiny && "tiny"].filter(Boolean).join(" ");
  if (right && !right.allowed) {
    return (
      <button type="button" class={classes} aria-disabled="true" title={right.needs ?? "You may not do this"}>
        {children}
        <span class="hidden-label"> (you may not: {right.needs ?? "ask an administrator"})</span>
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
  return (
    <button type={type} class={classes} onClick={onClick} disabled={disabled}>
      {children}
    </button>
  );
}
