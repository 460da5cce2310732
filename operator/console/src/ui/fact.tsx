import type { ComponentChildren } from "preact";

/** A fact of a list: its name, and what it is. */
export function Fact({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </>
  );
}
