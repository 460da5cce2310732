import { signal } from "@preact/signals";

/** Whether the API answers. `away`: the last call had no answer, or the API said that the cluster has none. */
export const connection = signal<"online" | "away">("online");

const PAUSES = [1, 2, 4, 8, 10];
let tries = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
const waiting = new Set<() => void>();

/** Calls back each time the API answers again after it was away. */
export function onReturn(again: () => void): () => void {
  waiting.add(again);
  return () => waiting.delete(again);
}

export function noteAnswer(): void {
  if (connection.value === "online") return;
  connection.value = "online";
  tries = 0;
  clearTimeout(timer);
  timer = undefined;
  for (const again of [...waiting]) again();
}

export function noteSilence(): void {
  connection.value = "away";
  if (timer !== undefined) return;
  const seconds = PAUSES[Math.min(tries, PAUSES.length - 1)] as number;
  tries += 1;
  timer = setTimeout(() => void probe(), seconds * 1000);
}

/** Asks whether the API is there, and through it the cluster. */
async function probe(): Promise<void> {
  timer = undefined;
  try {
    const response = await fetch("/v1/orgs", { headers: { "X-Dynamiq-Console": "1" } });
    if (response.status < 500) {
      noteAnswer();
      return;
    }
  } catch {
    // still away
  }
  noteSilence();
}

addEventListener("online", () => {
  if (connection.value === "away") void probe();
});
addEventListener("offline", noteSilence);
