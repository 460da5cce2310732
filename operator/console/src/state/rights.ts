import { readRights } from "../api/read.ts";
import { useQuery } from "./query.ts";

/** What the caller may do with an App; nothing is asked of none. */
export const useRights = (app: string | undefined) =>
  useQuery(app && `rights ${app}`, (signal) => readRights(app as string, signal));
