import type { Problem } from "../../api/problem.ts";
import { fromLocalOr, toLocal } from "../../pure/local-time.ts";
import type { NewTrigger, Trigger } from "../../pure/shapes.ts";

/** What the form of a trigger has. Times are the reader's own, as their inputs have them. */
export interface Filled {
  name: string;
  isOnce: boolean;
  schedule: string;
  timezone: string;
  runAt: string;
  expiresAt: string;
  path: string;
  selector: [field: string, text: string][];
}

export function filledOf(trigger: Trigger | undefined): Filled {
  const config = trigger?.config;
  return {
    name: trigger?.name ?? "",
    isOnce: Boolean(config?.run_at),
    schedule: config ? (config.schedule ?? "") : "0 9 * * 1-5",
    timezone: config?.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    runAt: toLocal(config?.run_at),
    expiresAt: toLocal(config?.expires_at),
    path: trigger?.input_transformer?.path ?? "",
    selector: Object.entries(trigger?.input_transformer?.selector ?? {}),
  };
}

/** What is sent. `before`: the trigger that is changed, whose times stay as they are where nobody touched them. */
export function bodyOf(filled: Filled, before?: Trigger): NewTrigger {
  const selector = filled.selector.filter(([field]) => field);
  const transformer = {
    ...(filled.path ? { path: filled.path } : {}),
    ...(selector.length > 0 ? { selector: Object.fromEntries(selector) } : {}),
  };
  return {
    name: filled.name.trim(),
    provider: "schedule",
    config: filled.isOnce
      ? { run_at: fromLocalOr(before?.config.run_at, filled.runAt) }
      : {
          schedule: filled.schedule.trim().replace(/ +/g, " "),
          timezone: filled.timezone,
          expires_at: fromLocalOr(before?.config.expires_at, filled.expiresAt),
        },
    input_transformer: Object.keys(transformer).length > 0 ? transformer : null,
  };
}

/** What the API says to be wrong, by field: `name`, `schedule`, `timezone`, `run_at`, `expires_at`, `config` or `input`. */
export function wrongOf(problem: Problem | undefined): Record<string, string> {
  const said = Object.entries(problem?.details ?? {}).filter(
    (each): each is [string, string] => typeof each[1] === "string",
  );
  return Object.fromEntries(
    said.map(([field, text]) => [
      field.startsWith("input_transformer") ? "input" : field.replace("config.", ""),
      text === "taken" ? (problem?.message ?? text) : text,
    ]),
  );
}
