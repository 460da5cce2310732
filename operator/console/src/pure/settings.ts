/** What an App is configured with, as a form holds it: what was changed of it, and what others changed meanwhile. Pure. */
import { plural } from "./texts.ts";

export interface Reference {
  name: string;
  key: string;
}

/** A variable of an App's pods: exactly one of its value, a Secret's key and a ConfigMap's key. */
export interface Variable {
  name: string;
  value: string | null;
  secret: Reference | null;
  config_map: Reference | null;
}

export interface Exposure {
  /** Null: as the operator is set up. */
  type: "Ingress" | "Gateway" | "ClusterIP" | null;
  class: string | null;
  tls_secret: string | null;
  /** Its name, or `namespace/name`. */
  gateway: string | null;
  gateway_section: string | null;
  annotations: Record<string, string>;
}

export interface Settings {
  description: string;
  hostname: string;
  exposure: Exposure;
  access_type: "private" | "public";
  variables: Variable[];
}

/** One field that differs, in words; null where it is not set. `field`: `hostname`, or of a variable `variables.NAME`. */
export interface Difference {
  field: string;
  label: string;
  from: string | null;
  to: string | null;
}

/** A field that others changed since the form was filled. `mine`: what the form has; undefined where the form left it alone. */
export interface Meanwhile {
  field: string;
  label: string;
  before: string | null;
  now: string | null;
  mine?: string | null;
}

const LABELS = {
  description: "Description",
  hostname: "Hostname",
  exposure: "Exposure",
  access_type: "Access",
} as const;
type Plain = keyof typeof LABELS;
const PLAIN = Object.keys(LABELS) as Plain[];

/** Every field that differs from one to the other. */
export function differences(from: Settings, to: Settings): Difference[] {
  return fieldsOf(from, to)
    .map((field) => ({ field, label: labelOf(field), from: wordsOf(from, field), to: wordsOf(to, field) }))
    .filter((each) => each.from !== each.to || comparable(from, each.field) !== comparable(to, each.field));
}

/** What others changed from `before` to `now`, with what the form has of it. */
export function meanwhile(before: Settings, mine: Settings, now: Settings): Meanwhile[] {
  return differences(before, now).map(({ field, label, from, to }) => {
    const isMine =
      comparable(mine, field) !== comparable(before, field) && comparable(mine, field) !== comparable(now, field);
    return { field, label, before: from, now: to, ...(isMine ? { mine: wordsOf(mine, field) } : {}) };
  });
}

/** What is so now, with the fields on top that the form changed. */
export function onTop(before: Settings, mine: Settings, now: Settings): Settings {
  return differences(before, mine).reduce((made, { field }) => taken(made, mine, field), now);
}

/** Whether all that the form changed is so by now. */
export function hasAll(before: Settings, mine: Settings, now: Settings): boolean {
  return differences(before, mine).every(({ field }) => comparable(mine, field) === comparable(now, field));
}

/** The settings with one field of others. */
export function taken(settings: Settings, others: Settings, field: string): Settings {
  const name = variableOf(field);
  if (name === undefined) return { ...settings, [field]: others[field as Plain] };
  const theirs = others.variables.find((each) => each.name === name);
  const at = settings.variables.findIndex((each) => each.name === name);
  const variables = [...settings.variables];
  if (theirs && at >= 0) variables[at] = theirs;
  else if (theirs) variables.push(theirs);
  else if (at >= 0) variables.splice(at, 1);
  return { ...settings, variables };
}

/** How an App is reached, in words. */
export function exposureInWords(exposure: Exposure): string {
  const { type, class: named, tls_secret, gateway, gateway_section, annotations } = exposure;
  const noted = Object.keys(annotations).length;
  const more = [
    named && `class ${named}`,
    tls_secret && `TLS of Secret ${tls_secret}`,
    gateway && `Gateway ${gateway}`,
    gateway_section && `listener ${gateway_section}`,
    noted > 0 && plural(noted, "annotation"),
  ].filter(Boolean);
  return [
    type === "ClusterIP" ? "ClusterIP: inside the cluster only" : (type ?? "The operator's default"),
    ...more,
  ].join(", ");
}

/** What a variable takes its value from, in words; of a Secret its name and key, never what is in it. */
export function variableInWords({ value, secret, config_map }: Variable): string {
  if (secret) return `from Secret ${secret.name}, key "${secret.key}"`;
  if (config_map) return `from ConfigMap ${config_map.name}, key "${config_map.key}"`;
  return value ?? "";
}

/** The change as kubectl's merge patch of the App: what is left out stays, null removes. */
export function patchOf(from: Settings, to: Settings): object {
  const changed = new Set(
    differences(from, to).map(({ field }) => (variableOf(field) === undefined ? field : "variables")),
  );
  const spec = {
    ...(changed.has("description") ? { description: to.description || null } : {}),
    ...(changed.has("hostname") ? { hostname: to.hostname || null } : {}),
    ...(changed.has("exposure")
      ? { exposure: replacing(exposureInSpec(from.exposure), exposureInSpec(to.exposure)) }
      : {}),
    ...(changed.has("access_type") ? { access: { type: to.access_type } } : {}),
    ...(changed.has("variables") ? { variables: to.variables.map(inSpec) } : {}),
  };
  return { spec };
}

function exposureInSpec(given: Exposure): Spec | null {
  const { type, class: className, tls_secret, gateway, gateway_section, annotations } = given;
  if (type === null) return null;
  const [name, namespace] = (gateway ?? "").split("/").reverse();
  const parent = {
    ...(name ? { name } : {}),
    ...(namespace ? { namespace } : {}),
    ...(gateway_section ? { sectionName: gateway_section } : {}),
  };
  return {
    type,
    ...(className ? { className } : {}),
    ...(tls_secret ? { tls: { secretName: tls_secret } } : {}),
    ...(name ? { parentRef: parent } : {}),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
  };
}

type Spec = { [field: string]: string | Spec | null };

/** The merge patch that makes one of the other: what a merge would keep of it is removed. */
function replacing(now: Spec | string | null | undefined, then: Spec | string | null): Spec | string | null {
  if (typeof now !== "object" || typeof then !== "object" || now === null || then === null) return then;
  const gone = Object.keys(now).map((field): [string, null] => [field, null]);
  const kept = Object.entries(then).map(([field, value]): [string, Spec | string | null] => [
    field,
    replacing(now[field], value),
  ]);
  return Object.fromEntries([...gone, ...kept]);
}

function inSpec({ name, value, secret, config_map }: Variable): object {
  if (secret) return { name, secret };
  return config_map ? { name, configMap: config_map } : { name, value };
}

function fieldsOf(...all: Settings[]): string[] {
  const names = new Set(all.flatMap((each) => each.variables.map(({ name }) => name)));
  return [...PLAIN, ...[...names].map((name) => `variables.${name}`)];
}

function variableOf(field: string): string | undefined {
  return field.startsWith("variables.") ? field.slice("variables.".length) : undefined;
}

function labelOf(field: string): string {
  return LABELS[field as Plain] ?? `Variable ${variableOf(field)}`;
}

function comparable(settings: Settings, field: string): string {
  const name = variableOf(field);
  if (name === undefined) {
    const value = settings[field as Plain];
    if (typeof value === "string") return value;
    const { type, class: named, tls_secret, gateway, gateway_section, annotations } = value;
    return JSON.stringify([type, named, tls_secret, gateway, gateway_section, Object.entries(annotations).sort()]);
  }
  const found = settings.variables.find((each) => each.name === name);
  if (!found) return "";
  const { value, secret, config_map } = found;
  return JSON.stringify([value, secret?.name, secret?.key, config_map?.name, config_map?.key]);
}

function wordsOf(settings: Settings, field: string): string | null {
  const name = variableOf(field);
  if (name !== undefined) {
    const found = settings.variables.find((each) => each.name === name);
    return found ? variableInWords(found) : null;
  }
  if (field === "exposure") return exposureInWords(settings.exposure);
  return settings[field as Exclude<Plain, "exposure">] || null;
}
