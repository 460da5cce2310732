/** Which screen lies below at an address, so that a dialog over it moves neither the page nor the focus. Pure. */
import { appPlace } from "./place.ts";

export interface Layer {
  /** What it is about: an App, a workflow, or a list. */
  subject: string;
  /** The screen itself; a dialog may lie over any screen of its subject. */
  screen: string;
  isDialog: boolean;
}

/** The layer of a path of the console. */
export function layerOf(path: string): Layer {
  const [, , kind = "", id = "", ...rest] = path.split("/");
  if (kind === "apps" && id) {
    const place = appPlace(rest.join("/"));
    const row = place.screen === "rollout" ? ` ${place.rowId}` : "";
    return { subject: `app ${id}`, screen: `${place.screen}${row}`, isDialog: place.dialog !== undefined };
  }
  if (kind === "workflows" && id) {
    return {
      subject: `workflow ${id}`,
      screen: rest[0] === "deploy" ? "" : rest.join("/"),
      isDialog: rest[0] === "deploy",
    };
  }
  return { subject: path, screen: "", isDialog: false };
}

/** Whether what fills the page stays where it is: a dialog came or went. */
export function stays(before: Layer, after: Layer): boolean {
  if (before.subject !== after.subject) return false;
  return before.isDialog || after.isDialog || before.screen === after.screen;
}
