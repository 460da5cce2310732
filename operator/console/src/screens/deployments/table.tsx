import { addressOf } from "../../pure/address.ts";
import { type Asked, type Column, deployedAt, queryOf } from "../../pure/app-list.ts";
import type { AppOfList } from "../../pure/shapes.ts";
import { useGrowing } from "../../ui/growing.ts";
import { Icon } from "../../ui/icons.tsx";
import { memo } from "../../ui/memo.ts";
import { Person } from "../../ui/person.tsx";
import { Said } from "../../ui/said.tsx";
import { Status } from "../../ui/status.tsx";
import { Time } from "../../ui/time.tsx";

const COLUMNS: [Column, string][] = [
  ["name", "Name"],
  ["project", "Project"],
  ["version", "Version"],
  ["status", "Status"],
  ["hostname", "Hostname"],
  ["deployed", "Last deployed"],
];

/** Height of a row in rem, for those that are not drawn yet. */
const ROW = 3.6;

interface Props {
  apps: AppOfList[];
  asked: Asked;
  ask: (change: Partial<Asked>) => void;
}

/** The Apps, one a row; on a phone one a card. The browser lays out only the rows that are seen. */
export function AppTable({ apps, asked, ask }: Props) {
  const drawn = useGrowing(apps.length, queryOf(asked, ""));
  return (
    <div class="panel">
      <div class="apps">
        <table>
          <caption class="hidden-label">Deployments</caption>
          <thead>
            <tr>
              {COLUMNS.map(([column, label]) => (
                <Head key={column} column={column} label={label} asked={asked} ask={ask} />
              ))}
            </tr>
          </thead>
          <tbody style={{ paddingBottom: `${(apps.length - drawn) * ROW}rem` }}>
            {apps.slice(0, drawn).map((app) => (
              <Row key={app.id} app={app} />
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Head({ column, label, asked, ask }: { column: Column; label: string } & Omit<Props, "apps">) {
  const isIt = asked.sort === column;
  const order = isIt ? (asked.isDescending ? "descending" : "ascending") : undefined;
  // The first click on a time asks for the newest.
  const next = isIt ? !asked.isDescending : column === "deployed";
  return (
    <th scope="col" aria-sort={order}>
      <button type="button" onClick={() => ask({ sort: column, isDescending: next })}>
        {label}
        <span class="order" aria-hidden="true">
          {order && (asked.isDescending ? "↓" : "↑")}
        </span>
      </button>
    </th>
  );
}

const Row = memo(({ app }: { app: AppOfList }) => {
  const address = addressOf(app.hostname);
  const deployed = deployedAt(app);
  const isCalm = app.status.word === "Live" || app.status.word === "NotDeployed";
  return (
    <tr>
      <th scope="row">
        <a class="break" href={`/console/apps/${app.id}`}>
          {app.name}
        </a>
      </th>
      <td class="project">
        <span class="break">{app.namespace}</span>
        {app.environment && <span class="small muted environment"> {app.environment}</span>}
      </td>
      <td class="version">
        <Version app={app} />
      </td>
      <td class="state">
        <Status word={app.status.word} />
        {!isCalm && app.status.message && (
          <p class="small muted cut" title={app.status.message}>
            <Said text={app.status.message} />
          </p>
        )}
      </td>
      <td class="host">
        {address && (
          <a class="small" href={address} target="_blank" rel="noreferrer" title={app.hostname}>
            <span class="cut">{app.hostname}</span>
            <Icon shape="external" />
          </a>
        )}
      </td>
      <td class="deployed">
        {deployed ? <Time at={deployed} /> : <span class="muted">never</span>}
        {deployed && app.updated_by && (
          <p class="small muted cut" title={app.updated_by.username}>
            <Person name={app.updated_by.username} />
          </p>
        )}
      </td>
    </tr>
  );
});

/** What is live, and what is on its way. */
function Version({ app }: { app: AppOfList }) {
  const coming = app.under_way?.version;
  if (!coming) return <>{app.live?.version ?? <span class="muted">none</span>}</>;
  if (!app.live) return <>{coming}</>;
  return (
    <>
      {app.live.version} <span aria-hidden="true">→</span>
      <span class="hidden-label"> becomes </span> {coming}
    </>
  );
}
