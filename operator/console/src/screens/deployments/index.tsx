import { useMemo, useState } from "preact/hooks";
import { readApps } from "../../api/read.ts";
import { type Asked, askedOf, queryOf, searched, sorted } from "../../pure/app-list.ts";
import { useLocation } from "../../state/location.tsx";
import { inProject, project } from "../../state/project.ts";
import { useQuery } from "../../state/query.ts";
import { useProjectEvents } from "../../state/watch.ts";
import { Action } from "../../ui/action.tsx";
import { Loaded, Skeleton } from "../../ui/states.tsx";
import { useTitle } from "../../ui/title.ts";
import { ReportDialog } from "../parts.ts";
import { NoApps, NoMatch } from "./empty.tsx";
import { Filters } from "./filters.tsx";
import { AppTable } from "./table.tsx";

/** Apps that the API reads for the first screen of many. */
const NEWEST = 50;

/** Every App that the caller may see, of one project or of all, as it is at this moment. */
export function DeploymentsScreen() {
  const { query, route } = useLocation();
  const asked = askedOf(query);
  const apps = useQuery(`apps ${project.value}`, (signal) => readApps(project.value, signal));
  const every = apps.data.value;
  const newest = useQuery(every ? undefined : `newest ${project.value}`, (signal) =>
    readApps(project.value, signal, NEWEST),
  );
  useProjectEvents(project.value);
  useTitle("Deployments");
  const [isReporting, setReporting] = useState(false);
  const found = every ?? newest.data.value;
  const matching = useMemo(() => searched(found ?? [], asked.q), [found, asked.q]);
  const shown = useMemo(() => {
    const rows = asked.status ? matching.filter((app) => app.status.word === asked.status) : matching;
    return sorted(rows, asked.sort, asked.isDescending);
  }, [matching, asked.status, asked.sort, asked.isDescending]);
  const isPart = !every && !apps.problem.value && found?.length;
  const ask = (change: Partial<Asked>) => route(`/console/${queryOf({ ...asked, ...change }, project.value)}`, true);
  return (
    <>
      <div class="heading">
        <h1>Deployments</h1>
        <div class="buttons">
          <Action onClick={() => setReporting(true)}>Report</Action>
          <Action href={inProject("/console/workflows")} kind="primary">
            Deploy
          </Action>
        </div>
      </div>
      {isReporting && <ReportDialog onClose={() => setReporting(false)} />}
      <Loaded query={isPart ? newest : apps} lines={8}>
        {({ length }) =>
          length === 0 ? (
            <NoApps />
          ) : (
            <>
              <Filters asked={asked} apps={matching} shown={shown.length} ask={ask} />
              {shown.length > 0 && <AppTable apps={shown} asked={asked} ask={ask} />}
              {isPart ? <Skeleton /> : shown.length === 0 && <NoMatch clear={() => ask({ q: "", status: "" })} />}
            </>
          )
        }
      </Loaded>
    </>
  );
}
