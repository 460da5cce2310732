/** Which projects the menu offers, and in which order. Pure. */
import type { Project } from "./shapes.ts";

const LETTERS = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** A project as it is shown: `support (production)`. */
export function nameOf({ name, environment }: Project): string {
  return environment ? `${name} (${environment})` : name;
}

/** The project of whoever sees no other: there is nothing to choose, unless the address asks for one that they do not see. */
export function onlyOne(projects: Project[], chosen: string): Project | undefined {
  const [only] = projects;
  return projects.length === 1 && (!chosen || chosen === only?.id) ? only : undefined;
}

/** Those with an environment first, then the others, each by name. Kubernetes' own namespaces are left out; the chosen one never is. */
export function offered(projects: Project[], chosen: string): Project[] {
  return projects
    .filter((each) => each.id === chosen || each.environment || !each.name.startsWith("kube-"))
    .sort(
      (a, b) =>
        Number(!a.environment) - Number(!b.environment) ||
        LETTERS.compare(a.name, b.name) ||
        LETTERS.compare(a.id, b.id),
    );
}
