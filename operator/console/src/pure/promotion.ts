/** Where an App can be promoted to. Pure. */
import { quoted } from "./shell.ts";
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
  /** Why the rules are gone past; undefined where they are not. */
  bypass?: string;
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

/** A Secret or ConfigMap that variables of the App need, and the target lacks. */
export interface Lacking {
  kind: string;
  name: string;
  variables: string[];
  keys: string[];
  /** Whether it is there, and only keys of it are not. */
  isThere: boolean;
  namespace: string;
}

/** What one variable lacks, as the API tells it. */
interface Need {
  kind: string;
  name: string;
  namespace: string;
  key: string;
  variable: string;
  is_there: boolean;
}

/** What a promotion's refusal says is lacking there, by object; empty where it is about something else. */
export function lackingOf({ lacking }: Record<string, unknown>): Lacking[] {
  const found = new Map<string, Lacking>();
  for (const { kind, name, namespace, key, variable, is_there } of Array.isArray(lacking) ? (lacking as Need[]) : []) {
    const of = `${kind} ${name}`;
    const one = found.get(of) ?? { kind, name, namespace, variables: [], keys: [], isThere: is_there };
    one.variables.push(variable);
    if (!one.keys.includes(key)) one.keys.push(key);
    found.set(of, one);
  }
  return [...found.values()];
}

/** The line that makes what is lacking, or adds the keys to what is there. */
export function supplyLine({ kind, name, keys, isThere, namespace }: Lacking): string {
  const what = kind.toLowerCase();
  const where = `${quoted(name)} -n ${quoted(namespace)}`;
  if (isThere) {
    const data = Object.fromEntries(keys.map((key) => [key, "VALUE"]));
    const patch = JSON.stringify({ [kind === "Secret" ? "stringData" : "data"]: data });
    return `kubectl patch ${what} ${where} --type merge -p ${quoted(patch)}`;
  }
  const values = keys.map((key) => `--from-literal=${quoted(`${key}=VALUE`)}`);
  return [`kubectl create ${kind === "Secret" ? "secret generic" : what} ${where}`, ...values].join(" ");
}
