/** When a read that failed is tried again by itself. */

const SECOND = 1_000;
const FIRST = 2 * SECOND;
const LONGEST = 30 * SECOND;
/** A longer wait than this is not asked of a page that somebody looks at. */
const ASKED_MOST = 300 * SECOND;

/** As `Problem` has it. */
interface Failed {
  isAway: boolean;
  status: number;
  retryAfter?: number;
}

/** Milliseconds until another try after so many that failed: each later than the one before, and never before the API asked for; undefined: another would fail too. */
export function pauseAfter(
  { isAway, status, retryAfter = 0 }: Failed,
  tries: number,
  chance: number,
): number | undefined {
  if (!isAway && status !== 429) return undefined;
  const own = Math.min(FIRST * 2 ** tries, LONGEST);
  const asked = Math.min(retryAfter * SECOND, ASKED_MOST);
  return Math.max(own, asked) * (1 + chance * 0.5);
}

/** The tries of one read. */
export class Retries {
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly again: () => void) {}

  /** It failed: it is tried again where that may help. */
  failed(problem: Failed): void {
    this.wait();
    const pause = pauseAfter(problem, this.#tries, Math.random());
    if (pause === undefined) return;
    this.#tries += 1;
    this.#timer = setTimeout(this.again, pause);
  }

  /** It was read. */
  done(): void {
    this.#tries = 0;
    this.wait();
  }

  /** It is not tried again before it has failed once more. */
  wait(): void {
    clearTimeout(this.#timer);
  }
}
