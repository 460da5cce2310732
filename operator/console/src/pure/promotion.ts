/** Where an App can be promoted to. Pure. */
import { sentence } from "./texts.ts";

interface Place {
  environment: string | null;
  project_id: string;
  is_own: boolean;
}

/** A place with the name of its environment. */
export type Target<T extends Place = Place> = T & { environment: string };

/** What the reader has chosen and filled in. */
export interface PromoteEdits {
  environment?: string;
  projectId?: string;
  hostname?: string;
  message?: string;
}

const PRODUCTION = "production";

/** The environments besides the App's own, production first. */
export function targetsOf<T extends Place>(environments: T[]): Target<T>[] {
  const others = environments.filter((each): each is Target<T> => !each.is_own && each.environment !== null);
  return [...others.filter(isProduction), ...others.filter((each) => !isProduction(each))];
}

function isProduction({ environment }: Place): boolean {
  return environment === PRODUCTION;
}

/** The chosen one; else production, else the first. `targets` has one. */
export function targetOf<T extends Target>(targets: T[], edits: PromoteEdits): T & { isOneOfSeveral: boolean } {
  const first = targets[0] as T;
  const name = targets.some((each) => each.environment === edits.environment) ? edits.environment : first.environment;
  const fitting = targets.filter((each) => each.environment === name);
  const found = fitting.find((each) => each.project_id === edits.projectId) ?? (fitting[0] as T);
  return { ...found, isOneOfSeveral: fitting.length > 1 };
}

const SHORT = 3;

/** `production` as people write it; `qa` and `dev` stay as they are. */
export function environmentName(environment: string): string {
  return environment.length > SHORT ? sentence(environment) : environment;
}
