import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Problem, problemOf } from "../api/problem.ts";
import { Retries } from "../pure/retries.ts";
import { connection, onReturn } from "./connection.ts";
import { isExpired } from "./session.ts";

const PAUSE = 300;

/** What would happen if the form were sent as it is. */
export interface Previewed<T> {
  /** The last preview there was, however old. */
  data?: T;
  /** Whether it is of the form as it stands now. */
  isCurrent: boolean;
  isReading: boolean;
  /** Why there is none of the form as it stands. */
  problem?: Problem;
  refresh: () => void;
}

interface Found<T> {
  data?: T;
  of?: string;
  problem?: Problem;
  problemOf?: string;
}

/** Previews what a form holds, a moment after it has changed; what was asked before is called off. No key: the form cannot be previewed yet. */
export function usePreview<T>(key: string | undefined, read: (abort: AbortSignal) => Promise<T>): Previewed<T> {
  const [found, keep] = useState<Found<T>>({});
  const [turn, take] = useState(0);
  const refresh = useCallback(() => take((before) => before + 1), []);
  const reading = useRef(read);
  reading.current = read;
  const isFirst = useRef(true);
  const token = key === undefined ? undefined : `${turn} ${key}`;
  useEffect(() => {
    if (token === undefined) return;
    const stop = new AbortController();
    const ask = async () => {
      try {
        const data = await reading.current(stop.signal);
        if (!stop.signal.aborted) keep({ data, of: token });
      } catch (thrown) {
        if (stop.signal.aborted) return;
        const problem = problemOf(thrown);
        keep((before) => ({ ...before, problem, problemOf: token }));
        retries.failed(problem);
      }
    };
    const retries = new Retries(() => connection.value === "online" && void ask());
    const timer = setTimeout(() => void ask(), isFirst.current ? 0 : PAUSE);
    isFirst.current = false;
    return () => {
      clearTimeout(timer);
      stop.abort();
      retries.wait();
    };
  }, [token]);
  useEffect(() => onReturn(refresh), [refresh]);
  useEffect(() => {
    let was = isExpired.value;
    return isExpired.subscribe((is) => {
      if (was && !is) refresh();
      was = is;
    });
  }, [refresh]);
  const isAnswered = token !== undefined && found.of === token;
  const hasFailed = token !== undefined && found.problemOf === token;
  return {
    data: found.data,
    isCurrent: isAnswered,
    isReading: token !== undefined && !isAnswered && !hasFailed,
    problem: hasFailed ? found.problem : undefined,
    refresh,
  };
}
