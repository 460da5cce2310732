import { absolute, moment, relative } from "../pure/time.ts";
import { signal } from "../state/signal.ts";

/** The present, told anew each 10 s: every time on the screen moves on together. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 10_000);

/** A time of the past as its distance from now, or of the future where it `isPlanned`; on hover, and for screen readers and printers, the absolute one in the reader's zone. `full`: it is there for all to see. */
export function Time({ at, isPlanned = false, full = false }: { at: string; isPlanned?: boolean; full?: boolean }) {
  const whole = absolute(at);
  return (
    <time dateTime={at} title={whole}>
      <span class="relative">{relative(at, now.value, !isPlanned)}</span>
      {full && (
        <span class="moment-line small muted" aria-hidden="true">
          {moment(at)}
        </span>
      )}
      <span class="absolute hidden-label">{whole}</span>
    </time>
  );
}

/** The end of something, as it is on a clock in the reader's zone. */
export function Moment({ at }: { at: string }) {
  return (
    <time dateTime={at} title={absolute(at)}>
      {moment(at)}
    </time>
  );
}
