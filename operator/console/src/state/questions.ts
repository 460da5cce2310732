import { readQuestions } from "../api/read.ts";
import { useQuery } from "./query.ts";

/** The oldest open questions of an App's background runs, as far as they are known and the caller may list runs. */
export function useQuestions(app: string) {
  const { data, problem, refresh } = useQuery(`questions ${app}`, (signal) => readQuestions(app, signal));
  const status = problem.value?.status;
  // Without a journal, or the right, it stays so while the page is open.
  const isClosed = status === 501 || status === 403;
  return { found: isClosed ? undefined : data.value, look: () => isClosed || void refresh() };
}
