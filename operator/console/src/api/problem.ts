/** What a call failed with, in the words of the API. `status` 0: there was no answer at all. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: Record<string, unknown> = {},
    /** Seconds to wait before another try; none where the API names none. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }

  /** Nobody answered, or the cluster behind the API does not: worth another try by itself. */
  get isAway(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }

  get isForbidden(): boolean {
    return this.status === 403;
  }

  get isUnknown(): boolean {
    return this.status === 404;
  }

  get isChanged(): boolean {
    return this.status === 409;
  }
}

/** The problem of any thrown value. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem(0, "offline", "The API does not answer. Check your connection; what you filled in stays here.");
}

/** The problem of a response of the API: its own words, where it has any. */
export async function problemOfResponse(response: Response, body: unknown): Promise<Problem> {
  const error = (body as { error?: { code?: string; message?: string; details?: Record<string, unknown> } })?.error;
  const after = Number(response.headers.get("Retry-After"));
  return new Problem(
    response.status,
    error?.code ?? "error",
    error?.message ?? `The API answered ${response.status} and said nothing more.`,
    error?.details ?? {},
    after > 0 ? after : undefined,
  );
}
