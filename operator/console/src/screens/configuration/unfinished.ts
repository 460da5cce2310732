import type { Settings } from "../../pure/settings.ts";
import type { Configuration } from "../../pure/shapes.ts";
import type { Choice } from "./meanwhile.tsx";

/** A form as it is filled: over which configuration, and what others changed meanwhile. */
export interface Filled {
  before: Configuration;
  settings: Settings;
  others?: { choices: Choice[]; mine: Settings };
}

/** By App, the form that was left without being saved or cancelled: whoever comes back to the tab goes on with it. */
export const unfinished = new Map<string, Filled>();
