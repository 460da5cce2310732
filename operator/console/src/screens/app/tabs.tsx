import type { AppTab } from "../../pure/place.ts";

const TABS: [AppTab, string, string][] = [
  ["overview", "", "Overview"],
  ["history", "/history", "History"],
  ["runs", "/runs", "Runs"],
  ["monitoring", "/monitoring", "Monitoring"],
  ["configuration", "/configuration", "Configuration"],
  ["triggers", "/triggers", "Triggers"],
];

/** The tabs of an App, as links: each has an address of its own. */
export function AppTabs({ id, current }: { id: string; current: AppTab }) {
  return (
    <nav class="tabs" aria-label="App">
      {TABS.map(([tab, rest, label]) => (
        <a key={tab} href={`/console/apps/${id}${rest}`} aria-current={tab === current ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}
