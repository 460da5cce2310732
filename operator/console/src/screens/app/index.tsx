import { useRef } from "preact/hooks";
import { readApp } from "../../api/read.ts";
import { type AppPlace, appPlace } from "../../pure/place.ts";
import type { App, AppRights } from "../../pure/shapes.ts";
import { useLocation } from "../../state/location.tsx";
import { useQuery } from "../../state/query.ts";
import { useRights } from "../../state/rights.ts";
import { useAppEvents } from "../../state/watch.ts";
import { Loaded } from "../../ui/states.tsx";
import { useTitle } from "../../ui/title.ts";
import { HistoryTab } from "../history/history.tsx";
import {
  CompareScreen,
  ConfigurationTab,
  DeployDialog,
  MonitoringTab,
  PromoteDialog,
  ReviewDialog,
  RollBackDialog,
  RolloutScreen,
  RowDialog,
  RunDialog,
  RunsTab,
  SessionsTab,
  TriggersTab,
} from "../parts.ts";
import { UnknownScreen } from "../unknown.tsx";
import { AppHeading } from "./heading.tsx";
import { OverviewTab } from "./overview.tsx";
import { AppTabs } from "./tabs.tsx";

const SCREENS: Record<AppPlace["screen"], string> = {
  overview: "",
  history: "History",
  compare: "Compare",
  rollout: "Rollout",
  runs: "Runs",
  sessions: "Sessions",
  monitoring: "Monitoring",
  configuration: "Configuration",
  triggers: "Triggers",
  unknown: "No such page",
};
const DIALOGS: Record<string, string> = {
  deploy: "Deploy",
  promote: "Promote deployment",
  row: "Details",
  run: "Run",
  "roll-back": "Roll back",
  review: "Review",
};

/** One App: what it is, its tabs, and the dialogs that lie over them. */
export function AppScreen({ id }: { id: string }) {
  return <OneApp key={id} id={id} />;
}

function OneApp({ id }: { id: string }) {
  const { path } = useLocation();
  const app = useQuery(`app ${id}`, (signal) => readApp(id, signal));
  const rights = useRights(id).data.value;
  const place = appPlace(path.slice(`/console/apps/${id}`.length));
  const shown = useShown(place);
  useAppEvents(id, {});
  useTitle(DIALOGS[place.dialog ?? ""] ?? SCREENS[place.screen], app.data.value?.name);
  if (place.screen === "unknown") return <UnknownScreen />;
  return (
    <Loaded query={app} lines={8} level={1}>
      {(found) => (
        <>
          <AppHeading app={found} rights={rights} />
          <AppTabs id={id} current={shown.tab} />
          <Screen app={found} place={shown} rights={rights} />
          <Over app={found} place={place} rights={rights} />
        </>
      )}
    </Loaded>
  );
}

/** What fills the page: under a dialog the screen that it was opened from, as it was. */
function useShown(place: AppPlace): AppPlace {
  const last = useRef<AppPlace | undefined>(undefined);
  if (!place.dialog || last.current === undefined) last.current = { ...place, dialog: undefined };
  if (place.dialog === "row" || place.dialog === "run") last.current = { screen: place.screen, tab: place.tab };
  return last.current;
}

function Screen({ app, place, rights }: { app: App; place: AppPlace; rights?: AppRights }) {
  switch (place.screen) {
    case "history":
      return <HistoryTab app={app} />;
    case "compare":
      return <CompareScreen app={app} />;
    case "rollout":
      return <RolloutScreen key={place.rowId} app={app} rowId={place.rowId as string} rights={rights} />;
    case "runs":
      return <RunsTab app={app} rights={rights} />;
    case "sessions":
      return <SessionsTab app={app} rights={rights} />;
    case "monitoring":
      return <MonitoringTab app={app} />;
    case "configuration":
      return <ConfigurationTab app={app} />;
    case "triggers":
      return <TriggersTab app={app} />;
    default:
      return <OverviewTab app={app} rights={rights} />;
  }
}

function Over({ app, place, rights }: { app: App; place: AppPlace; rights?: AppRights }) {
  const rowId = place.rowId as string;
  switch (place.dialog) {
    case "deploy":
      return <DeployDialog app={app} />;
    case "promote":
      return <PromoteDialog app={app} />;
    case "row":
      return <RowDialog key={rowId} app={app} rowId={rowId} />;
    case "run":
      return <RunDialog key={place.runId} app={app} runId={place.runId as string} rights={rights} />;
    case "roll-back":
      return <RollBackDialog key={rowId} app={app} rowId={rowId} />;
    case "review":
      return <ReviewDialog key={rowId} app={app} rowId={rowId} />;
    default:
      return null;
  }
}
