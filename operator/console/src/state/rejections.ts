import { readRejections } from "../api/guards.ts";
import type { Rejection } from "../pure/shapes.ts";
import { useQuery } from "./query.ts";

/** What was rejected in an App's namespace: a flow is rejected under whatever name. No id: nothing is read. Undefined while it is not known. */
export function useRejections(app: string | undefined): Rejection[] | undefined {
  return useQuery(app && `rejections ${app}`, (signal) => readRejections(app as string, signal)).data.value;
}
