import type { Problem } from "../../api/problem.ts";
import type { Settings, Variable } from "../../pure/settings.ts";
import type { Configuration } from "../../pure/shapes.ts";

/** By field, such as `variables.2.name`: what is wrong with it. */
export type Wrong = Record<string, string>;

/** The configuration as the form holds it. */
export function settingsOf(found: Configuration): Settings {
  return {
    description: found.description ?? "",
    hostname: found.hostname ?? "",
    exposure: found.exposure,
    access_type: found.access_type,
    variables: found.variables.map(({ name, value, secret, config_map }) => ({
      name,
      value: value ?? null,
      secret: secret ?? null,
      config_map: config_map ?? null,
    })),
  };
}

/** What the form can see by itself to be wrong. */
export function wrongIn(settings: Settings): Wrong {
  const wrong: Wrong = {};
  const seen = new Set<string>();
  settings.variables.forEach(({ name, secret, config_map }, at) => {
    const reference = secret ?? config_map;
    if (!name) wrong[`variables.${at}.name`] = "Give it a name, or remove it";
    else if (seen.has(name)) wrong[`variables.${at}.name`] = `There is a variable ${name} already`;
    if (reference && !reference.name) wrong[`variables.${at}.reference.name`] = "Name it";
    if (reference && !reference.key) wrong[`variables.${at}.reference.key`] = "Name its key";
    seen.add(name);
  });
  return wrong;
}

/** What the API says to be wrong, by field of the form. */
export function wrongOf(problem: Problem | undefined): Wrong {
  const said = Object.entries(problem?.details ?? {}).filter(
    (each): each is [string, string] => typeof each[1] === "string",
  );
  return Object.fromEntries(said.map(([field, text]) => [fieldOf(field), text]));
}

const THEIRS: [RegExp, string][] = [
  [/^spec\./, ""],
  [/\[(\d+)\]/g, ".$1"],
  [/^access\.type$/, "access_type"],
  [/\.className$/, ".class"],
  [/\.tls\.secretName$|\.tls$/, ".tls_secret"],
  [/\.parentRef(\.name|\.namespace)?$/, ".gateway"],
  [/\.parentRef\.sectionName$/, ".gateway_section"],
  [/\.(secret|config_map|configMap)(?=\.(name|key)$)/, ".reference"],
];

function fieldOf(theirs: string): string {
  return THEIRS.reduce((field, [pattern, ours]) => field.replace(pattern, ours), theirs);
}

export const NEW_VARIABLE: Variable = { name: "", value: "", secret: null, config_map: null };
