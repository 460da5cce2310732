import { useEffect, useRef, useState } from "preact/hooks";
import { type Problem, problemOf } from "../api/problem.ts";

export interface Write {
  isBusy: boolean;
  /** Why the last try did nothing; undefined once another one has begun. */
  problem: Problem | undefined;
  /** Writes, unless a write is under way. True: it was done. */
  run: (write: () => Promise<unknown>) => Promise<boolean>;
  forget: () => void;
}

/** A write that a form or a button makes: one at a time, and what went wrong with it stays until the next try. */
export function useWrite(): Write {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const isRunning = useRef(false);
  const isShown = useRef(true);
  useEffect(
    () => () => {
      isShown.current = false;
    },
    [],
  );
  const run = async (write: () => Promise<unknown>): Promise<boolean> => {
    if (isRunning.current) return false;
    isRunning.current = true;
    setBusy(true);
    setProblem(undefined);
    try {
      await write();
      return true;
    } catch (thrown) {
      if (isShown.current) setProblem(problemOf(thrown));
      return false;
    } finally {
      isRunning.current = false;
      if (isShown.current) setBusy(false);
    }
  };
  return { isBusy, problem, run, forget: () => setProblem(undefined) };
}
