import { signal } from "./signal.ts";

/** The project that lists show, by its id; empty for all. It stands in the address, so that a link shows the same. */
export const project = signal(new URLSearchParams(location.search).get("project") ?? "");

/** The address of a list with the chosen project. */
export function inProject(path: string): string {
  return project.value ? `${path}?project=${encodeURIComponent(project.value)}` : path;
}
