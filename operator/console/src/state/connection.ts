import { listeners } from "../api/client.ts";
import { signal } from "./signal.ts";

/** Whether the API answers. `away`: it was asked for nothing but that, and had no answer, or said that the cluster has none. */
export const connection = signal<"online" | "away">("online");

const ADDRESS = "/v1/orgs";
const PAUSES = [1, 2, 4, 8, 10];
const ANSWERED_WITHIN = 10_000;
const SECOND = 1_000;
/** How long an answer stands: that one call fails again and again is no reason to ask more often. */
const STANDS = 3_000;
/** An API that was back for less goes on being away: all that the page shows is not read again each second. */
const STEADY = 30_000;

let misses = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let asking: Promise<void> | undefined;
let answered = Number.NEGATIVE_INFINITY;
let back = Number.NEGATIVE_INFINITY;
const waiting = new Set<() => void>();

/** Calls back each time the API answers again after it was away. */
export function onReturn(again: () => void): () => void {
  waiting.add(again);
  return () => waiting.delete(again);
}

/** A call had no answer, or was told that there is none now. Whether that is so of all of them is asked, and asked again until it is not. */
export function noteSilence(): void {
  if (asking || timer !== undefined) return;
  const stands = answered + STANDS - performance.now();
  if (stands > 0) ask(stands);
  else probe();
}
listeners.silence = noteSilence;

/** Ends when `connection` says how it is, as far as that is being asked at this moment. */
export async function known(): Promise<void> {
  await asking;
}

function ask(after: number): void {
  timer = setTimeout(probe, after);
}

/** Asks whether the API is there, and through it the cluster. */
function probe(): void {
  clearTimeout(timer);
  timer = undefined;
  asking ??= isThere().then((is) => {
    asking = undefined;
    if (is) found();
    else missed();
  });
}

async function isThere(): Promise<boolean> {
  const headers = { "X-Dynamiq-Console": "1" };
  try {
    const { status } = await fetch(ADDRESS, {
      headers,
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWERED_WITHIN),
    });
    // While it says that too much is asked of it, the whole page is not read again.
    return status < 500 && (status !== 429 || connection.value === "online");
  } catch {
    return false;
  }
}

function found(): void {
  clearTimeout(timer);
  timer = undefined;
  answered = performance.now();
  if (connection.value === "online") return;
  connection.value = "online";
  back = answered;
  for (const again of [...waiting]) again();
}

function missed(): void {
  if (connection.value === "online" && performance.now() - back > STEADY) misses = 0;
  connection.value = "away";
  const seconds = PAUSES[Math.min(misses, PAUSES.length - 1)] as number;
  misses += 1;
  clearTimeout(timer);
  // Not all that were left at the same moment come back at one.
  ask(seconds * SECOND * (0.75 + Math.random() * 0.5));
}

addEventListener("online", () => {
  if (connection.value === "away") probe();
});
addEventListener("offline", missed);
