import { readConfiguration, writeConfiguration } from "../../api/configuration.ts";
import { Problem } from "../../api/problem.ts";
import { differences, hasAll, type Meanwhile, meanwhile, type Settings } from "../../pure/settings.ts";
import type { Configuration } from "../../pure/shapes.ts";
import { settingsOf } from "./wrong.ts";

type End = { saved: Configuration } | { now: Configuration; others: Meanwhile[] };

/**
 * Saves what differs from `before`. Where others changed any of it meanwhile nothing is saved, and the end says what; where they changed
 * something else of the App, it is saved beside that. Throws Problem.
 */
export async function save(app: string, before: Configuration, settings: Settings): Promise<End> {
  const body = bodyOf(settingsOf(before), settings);
  try {
    return { saved: await writeConfiguration(app, { object_version: before.object_version, ...body }) };
  } catch (thrown) {
    if (!(thrown instanceof Problem && thrown.isChanged)) throw thrown;
    const now = await readConfiguration(app, new AbortController().signal);
    if (now.object_version === before.object_version) throw thrown;
    // An earlier try of the same, whose answer was lost, was done.
    if (hasAll(settingsOf(before), settings, settingsOf(now))) return { saved: now };
    const others = meanwhile(settingsOf(before), settings, settingsOf(now));
    if (others.length > 0) return { now, others };
    return { saved: await writeConfiguration(app, { object_version: now.object_version, ...body }) };
  }
}

function bodyOf(before: Settings, settings: Settings): object {
  const fields = new Set(differences(before, settings).map(({ field }) => field.split(".")[0] as keyof Settings));
  return Object.fromEntries([...fields].map((field) => [field, settings[field] === "" ? null : settings[field]]));
}
