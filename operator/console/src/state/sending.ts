import { useEffect, useRef, useState } from "preact/hooks";
import { type Problem, problemOf } from "../api/problem.ts";
import { isUncertain } from "../pure/answers.ts";

/** A write of a form: what became of it, and a try of the same once more. */
export interface Sending<B> {
  isSending: boolean;
  /** Why it was not done, or is not known to be. */
  problem?: Problem;
  /** There was no answer: it may have been done. `again` sends the same with the same key, which does it once. */
  isUncertain: boolean;
  /** What was sent last. */
  sent?: B;
  send: (body: B) => void;
  again: () => void;
  /** Forgets what became of it: the reader has read it. */
  forget: () => void;
  /** Forgets why it was refused: what is filled in now is something else. What is not known stays. */
  forgetRefusal: () => void;
}

/** Sends what a form holds with an `Idempotency-Key` of its own for each thing that it holds. `done`: `isHere` unless the form is gone by then. */
export function useSending<B extends object, T>(
  post: (body: B, key: string) => Promise<T>,
  done: (made: T, isHere: boolean, sent: B) => void,
): Sending<B> {
  const [state, keep] = useState<{ isSending: boolean; problem?: Problem; sent?: B }>({ isSending: false });
  const keys = useRef(new Map<string, string>());
  const isHere = useRef(true);
  useEffect(
    () => () => {
      isHere.current = false;
    },
    [],
  );
  const isBusy = useRef(false);
  const send = async (body: B) => {
    if (isBusy.current) return;
    isBusy.current = true;
    keep({ isSending: true, sent: body });
    try {
      const made = await post(body, keyOf(keys.current, body));
      done(made, isHere.current, body);
    } catch (thrown) {
      keep({ isSending: false, problem: problemOf(thrown), sent: body });
    } finally {
      isBusy.current = false;
    }
  };
  const isUncertainNow = state.problem !== undefined && isUncertain(state.problem);
  return {
    ...state,
    isUncertain: isUncertainNow,
    send: (body) => void send(body),
    again: () => void (state.sent && send(state.sent)),
    forget: () => keep({ isSending: false }),
    forgetRefusal: () => void (state.problem && !isUncertainNow && keep({ isSending: false })),
  };
}

function keyOf(keys: Map<string, string>, body: object): string {
  const held = JSON.stringify(body);
  const key = keys.get(held) ?? crypto.randomUUID();
  keys.set(held, key);
  return key;
}
