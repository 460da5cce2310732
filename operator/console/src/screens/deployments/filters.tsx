import { type Asked, counted } from "../../pure/app-list.ts";
import type { AppOfList } from "../../pure/shapes.ts";
import { plural } from "../../pure/texts.ts";
import { Icon } from "../../ui/icons.tsx";
import { wordOf } from "../../ui/status.tsx";

interface Props {
  asked: Asked;
  /** Those that match the search, of any status. */
  apps: AppOfList[];
  shown: number;
  ask: (change: Partial<Asked>) => void;
}

/** Search as one types, and how many Apps are in which status: a click shows those alone. */
export function Filters({ asked, apps, shown, ask }: Props) {
  const counts = counted(apps);
  if (asked.status && !counts.some(([word]) => word === asked.status)) counts.push([asked.status, 0]);
  return (
    <div class="filters">
      <label class="search">
        <Icon shape="search" />
        <span class="hidden-label">Search name, project, version or hostname</span>
        <input
          class="input"
          type="search"
          placeholder="Search name, project, version or hostname"
          value={asked.q}
          onInput={(event) => ask({ q: event.currentTarget.value })}
        />
      </label>
      <fieldset class="buttons chips">
        <legend class="hidden-label">Status</legend>
        <Chip isOn={asked.status === ""} onClick={() => ask({ status: "" })} label="All" count={apps.length} />
        {counts.map(([word, count]) => (
          <Chip
            key={word}
            isOn={asked.status === word}
            onClick={() => ask({ status: asked.status === word ? "" : word })}
            label={wordOf(word)}
            count={count}
          />
        ))}
      </fieldset>
      <p class="hidden-label" role="status">
        {plural(shown, "App")}
      </p>
    </div>
  );
}

function Chip({ isOn, onClick, label, count }: { isOn: boolean; onClick: () => void; label: string; count: number }) {
  return (
    <button type="button" class="chip" aria-pressed={isOn} onClick={onClick}>
      {label} <span class="muted">{count}</span>
    </button>
  );
}
