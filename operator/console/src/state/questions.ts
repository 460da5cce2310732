import { readQuestions } from "../api/read.ts";
import { useQuery } from "./query.ts";

/** The oldest open questions of an App's background runs. */
export const useQuestions = (app: string) => useQuery(`questions ${app}`, (signal) => readQuestions(app, signal));
