import { signal } from "@preact/signals";
import { absolute, relative } from "../pure/time.ts";

/** The present, told anew each 10 s: every time on the screen moves on together. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 10_000);

/** A time as its distance from now; on hover, and for screen readers and printers, the absolute one in the reader's zone. */
export function Time({ at }: { at: string }) {
  const whole = absolute(at);
  return (
    <time dateTime={at} title={whole}>
      <span class="relative">{relative(at, now.value)}</span>
      <span class="absolute hidden-label">{whole}</span>
    </time>
  );
}
