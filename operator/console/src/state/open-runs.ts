import { readOpenRuns } from "../api/runs.ts";
import { useQuery } from "./query.ts";

/** The newest background runs of an App that have not ended. */
export const useOpenRuns = (app: string) => useQuery(`open-runs ${app}`, (signal) => readOpenRuns(app, signal));
