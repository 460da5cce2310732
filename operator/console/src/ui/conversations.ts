import { readConversations } from "../api/read.ts";
import type { Conversations } from "../pure/shapes.ts";
import { useQuery } from "../state/query.ts";
import { usePoll } from "./poll.ts";

const NONE: Conversations[] = [];
const LOOKED_AGAIN_AFTER = 10_000;

/** The conversations of an App by row, as far as it has any and the caller may list runs. */
export function useConversations(app: string | undefined): Conversations[] {
  const { data, problem, refresh } = useQuery(app && `conversations ${app}`, (signal) =>
    readConversations(app as string, signal),
  );
  // Without a journal, or the right, it stays so while the page is open.
  const isClosed = problem.value && !problem.value.isAway;
  usePoll(LOOKED_AGAIN_AFTER, () => isClosed || void refresh());
  return (!isClosed && data.value) || NONE;
}
