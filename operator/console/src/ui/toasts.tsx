import type { ComponentChildren } from "preact";
import { signal } from "../state/signal.ts";

interface Toast {
  id: number;
  tone: "good" | "bad" | "busy";
  says: ComponentChildren;
}

const SHOWN_FOR = 6_000;
const shown = signal<Toast[]>([]);
let last = 0;

/** Says at the lower edge what was done, for some seconds. */
export function toast(says: ComponentChildren, tone: Toast["tone"] = "good"): void {
  last += 1;
  const id = last;
  shown.value = [...shown.value, { id, tone, says }];
  setTimeout(() => {
    shown.value = shown.value.filter((each) => each.id !== id);
  }, SHOWN_FOR);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {shown.value.map((each) => (
        <div key={each.id} class={`notice ${each.tone}`}>
          {each.says}
        </div>
      ))}
    </div>
  );
}
