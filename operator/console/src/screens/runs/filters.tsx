import { useState } from "preact/hooks";
import { readFilterChoices } from "../../api/history.ts";
import { titleOf } from "../../pure/row-words.ts";
import { isRunFiltered, RUN_STATUSES, type RunFilters, SORTS, type TEXTS } from "../../pure/run-filters.ts";
import type { App } from "../../pure/shapes.ts";
import { useQuery } from "../../state/query.ts";
import { useRows } from "../../state/rows.ts";
import { Action } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Choice, Choices, Moment, StatusFilter } from "../history/filters.tsx";

interface Props {
  app: App;
  filters: RunFilters;
  onChange: (next: RunFilters) => void;
}

const FIELDS: [(typeof TEXTS)[number], string][] = [
  ["trigger", "Trigger"],
  ["session_id", "Session"],
  ["user_id", "User"],
  ["tag", "Tag"],
  ["model", "Model"],
];

/** What the runs are filtered by. All of it stands in the address. */
export function RunFilterBar({ app, filters, onChange }: Props) {
  const [isOpen, open] = useState(false);
  const rows = useRows(app)?.map((row) => ({ value: row.id, label: titleOf(row) }));
  const versions = useQuery(`history-filters ${app.id}`, (signal) => readFilterChoices(app.id, signal)).data.value;
  const set = (part: RunFilters) => onChange({ ...filters, ...part });
  const isMore =
    FIELDS.some(([name]) => filters[name]) || Boolean(filters.min_duration_ms || filters.from || filters.to);
  return (
    <search class={isOpen ? "history-filters open" : "history-filters"} aria-label="Filter the runs">
      <Text label="Error" name="error" filters={filters} set={set} placeholder="Search errors" isSearch />
      <button type="button" class="button more" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
        Filters
      </button>
      <StatusFilter all={RUN_STATUSES} chosen={filters.status ?? []} onChoose={(status) => set({ status })} />
      <Choice
        label="Row"
        value={filters.deployment_id ?? ""}
        counted={rows}
        onChoose={(deployment_id) => set({ deployment_id })}
      />
      <Choice
        label="Version"
        value={filters.workflow_version ?? ""}
        counted={versions?.versions.map(({ value }) => ({ value, label: value }))}
        onChoose={(workflow_version) => set({ workflow_version })}
      />
      <Choices label="More filters" says="More" isSet={isMore}>
        {FIELDS.map(([name, label]) => (
          <Text key={name} label={label} name={name} filters={filters} set={set} />
        ))}
        <Text label="Took at least (ms)" name="min_duration_ms" filters={filters} set={set} />
        <Moment label="Since" value={filters.from ?? ""} onChoose={(from) => set({ from })} />
        <Moment label="Until" value={filters.to ?? ""} onChoose={(to) => set({ to })} />
      </Choices>
      <Choice
        label={SORTS[""]}
        value={filters.sort ?? ""}
        counted={Object.entries(SORTS).flatMap(([value, label]) => (value ? { value, label } : []))}
        onChoose={(sort) => set({ sort })}
      />
      {isRunFiltered(filters) && (
        <Action kind="plain" onClick={() => onChange({ sort: filters.sort })}>
          Clear
        </Action>
      )}
    </search>
  );
}

interface TextProps {
  label: string;
  name: (typeof TEXTS)[number] | "min_duration_ms";
  filters: RunFilters;
  set: (part: RunFilters) => void;
  placeholder?: string;
  isSearch?: boolean;
}

/** A filter that is written: it counts when the field is left, or by Enter. Until then an answer that comes in between takes nothing away. */
function Text({ label, name, filters, set, placeholder, isSearch = false }: TextProps) {
  const [draft, write] = useState<string>();
  const isNumber = name === "min_duration_ms";
  return (
    <label class={isSearch ? "search" : "field"}>
      <span class={isSearch ? "hidden-label" : "label"}>{label}</span>
      {isSearch && <Icon shape="search" />}
      <input
        class={filters[name] ? "input set" : "input"}
        {...(isSearch ? { type: "search" as const } : { type: "text" as const })}
        inputMode={isNumber ? "numeric" : undefined}
        maxLength={256}
        placeholder={placeholder}
        value={draft ?? filters[name] ?? ""}
        onInput={(event) => write(event.currentTarget.value)}
        onChange={(event) => {
          write(undefined);
          set({ [name]: event.currentTarget.value.trim() });
        }}
      />
    </label>
  );
}
