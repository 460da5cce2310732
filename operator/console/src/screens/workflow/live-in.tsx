import type { AppOfList } from "../../pure/shapes.ts";

const SHOWN = 5;

interface Props {
  /** The Apps that may serve it; undefined while they are not known. */
  apps?: AppOfList[];
  /** Only those that serve this version. */
  version?: string;
  withVersion?: boolean;
}

/** Where a workflow, or one version of it, is live: links to the Apps. */
export function LiveIn({ apps, version, withVersion = false }: Props) {
  if (!apps) return <span class="muted">…</span>;
  const live = apps.filter((app) => app.live && (version === undefined || app.live.version === version));
  if (live.length === 0) return version === undefined ? <span class="muted">nowhere</span> : null;
  const more = live.length - SHOWN;
  return (
    <ul class="apps-of">
      {live.slice(0, SHOWN).map((app) => (
        <li key={app.id}>
          <a class="break" href={`/console/apps/${app.id}`}>
            {app.name}
          </a>
          {withVersion && <span class="small muted"> {app.live?.version}</span>}
        </li>
      ))}
      {more > 0 && <li class="small muted">and {more} more</li>}
    </ul>
  );
}
