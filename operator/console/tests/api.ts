/** A stand-in for the API behind the screens: each call is answered as a test says; one that no answer was given for is a surprise. */
import type { Answers, Query } from "./cast.ts";
import { type Body, type Call, callOf, canAnswer, example, READ_OPEN_RUNS } from "./document.ts";

/** A call of a screen. */
export interface Asked {
  call: Call;
  url: string;
  query: Query;
  body: unknown;
  headers: Record<string, string>;
}

const EVERYTHING = "";
type Status = { status: number; message: string; more?: object };

export class Api {
  readonly asked: Asked[] = [];
  readonly surprises: string[] = [];
  /** Nobody answers anything. */
  isAway = false;
  /** What is asked is done, and of the answers to calls that are no reads none comes back. */
  losesAnswers = false;
  /** How many calls have no answer yet. */
  pending = 0;
  /** What `/console/session` says. */
  session: Body<"GET /console/session"> = sessionOf("ben@example.com");
  #answers: Answers;
  #refused = new Map<string, Status>();
  #held: string | undefined;
  #waiting: (() => void)[] = [];
  #streams = new Map<string, ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>>();

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  /** From now on a call is answered so, too. */
  says(more: Answers): void {
    this.#answers = { ...this.#answers, ...more };
  }

  /** Until `answer`, this call, or every one, is refused in these words. */
  refuse(status: number, message: string, call: string = EVERYTHING, more: object = {}): void {
    this.#refused.set(call, { status, message, more });
  }

  /** Nothing is refused any more. */
  answer(): void {
    this.#refused.clear();
  }

  /** Until `letGo`, this call, with a query or without, waits for its answer. */
  hold(call: string): void {
    this.#held = call;
  }

  /** Whether something waits for its answer. */
  get isHolding(): boolean {
    return this.#waiting.length > 0;
  }

  /** What waits is answered, as is said now. */
  letGo(): void {
    this.#held = undefined;
    for (const go of this.#waiting.splice(0)) go();
  }

  /** The calls so far: of one kind, or all that are no reads and no previews. */
  calls(call?: Call): Asked[] {
    const writes = (each: Asked) => !each.call.startsWith("GET ") && !each.call.endsWith("/preview");
    return this.asked.filter((each) => (call ? each.call === call : writes(each)));
  }

  /** An event on the streams that are open. */
  tell(kind: string, data: unknown = {}): void {
    const event = new TextEncoder().encode(`event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
    for (const stream of this.#streams.values()) stream.enqueue(event);
  }

  /** Takes the place of the browser's own `fetch`. */
  readonly fetch = async (to: string, given: RequestInit = {}): Promise<Response> => {
    this.pending += 1;
    try {
      return await this.#take(to, given);
    } finally {
      this.pending -= 1;
    }
  };

  async #take(to: string, given: RequestInit): Promise<Response> {
    const { pathname, search } = new URL(to, location.origin);
    const method = given.method ?? "GET";
    if (pathname.endsWith("/watch")) return this.#stream(pathname, given.signal as AbortSignal);
    const query = Object.fromEntries(new URLSearchParams(search));
    const call = query.open ? (READ_OPEN_RUNS as Call) : callOf(method, pathname);
    if (call === undefined) return this.#surprise(`the API has no ${method} ${pathname}`);
    if ([call, `${method} ${pathname}`, `${method} ${pathname}${search}`].includes(this.#held ?? ""))
      await new Promise<void>((go) => this.#waiting.push(go));
    const body = given.body ? JSON.parse(given.body as string) : undefined;
    this.asked.push({ call, url: to, query, body, headers: given.headers as Record<string, string> });
    if (this.isAway) throw new TypeError("Failed to fetch");
    const { status, body: said } = this.#answerTo(call, query.open ? call : `${method} ${pathname}`, query);
    if (this.losesAnswers && method !== "GET" && !pathname.endsWith("/preview")) throw new TypeError("Failed to fetch");
    return response(status, said);
  }

  #answerTo(call: Call, exact: string, query: Query): { status: number; body?: unknown } {
    const refused = [EVERYTHING, exact, call].map((each) => this.#refused.get(each)).find(Boolean);
    if (refused) {
      if (!canAnswer(call, refused.status)) this.surprises.push(`the API never answers ${refused.status} to ${call}`);
      const error = { code: "conflict", message: refused.message, details: {}, ...refused.more };
      return { status: refused.status, body: { error } };
    }
    if (call === "GET /console/session") return { status: 200, body: this.session };
    const found = this.#answers[exact] ?? this.#answers[call];
    if (found !== undefined) return { status: 200, body: typeof found === "function" ? found(query) : found };
    if (!canAnswer(call, 204)) this.surprises.push(`nothing is said of ${exact}`);
    return { status: 204 };
  }

  #stream(path: string, signal: AbortSignal): Response {
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (control) => void this.#streams.set(path, control),
    });
    signal.addEventListener("abort", () => this.#streams.delete(path));
    return { ok: true, status: 200, body } as Response;
  }

  #surprise(says: string): never {
    this.surprises.push(says);
    throw new TypeError(says);
  }
}

/** Somebody is signed in: another one than the author of rows and Apps, who is anna@example.com. */
function sessionOf(username: string): Body<"GET /console/session"> {
  const { data } = example("GET /console/session");
  return { data: { ...data, user: { id: "5b7a7f0e-3e0e-5a53-9f1c-6d7e8f9a0b1c", email: username, username } } };
}

function response(status: number, body: unknown): Response {
  const text = body === undefined ? "" : JSON.stringify(body);
  const found = { ok: status < 300, status, headers: new Headers(), text: async () => text };
  return { ...found, json: async () => JSON.parse(text) } as unknown as Response;
}
