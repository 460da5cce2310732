import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { readFilterChoices } from "../../api/history.ts";
import { type HistoryFilters, isFiltered, NO_FILTERS, SEARCH_MOST, STATUSES } from "../../pure/history-filters.ts";
import { fromLocal, toLocal } from "../../pure/local-time.ts";
import { personOf } from "../../pure/people.ts";
import type { App, Counted } from "../../pure/shapes.ts";
import { listen } from "../../state/listen.ts";
import { useQuery } from "../../state/query.ts";
import { Action } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { wordOf } from "../../ui/status.tsx";

interface Props {
  app: App;
  filters: HistoryFilters;
  onChange: (next: HistoryFilters, replace?: boolean) => void;
}

export const SEARCH_ID = "history-search";
const PAUSE = 180;

/** What the rows are filtered by. All of it stands in the address. */
export function FilterBar({ app, filters, onChange }: Props) {
  const choices = useQuery(`history-filters ${app.id}`, (signal) => readFilterChoices(app.id, signal)).data.value;
  const [isOpen, open] = useState(false);
  const set = (part: Partial<HistoryFilters>) => onChange({ ...filters, ...part });
  return (
    <search class={isOpen ? "history-filters open" : "history-filters"} aria-label="Filter the deployments">
      <Search filters={filters} onChange={onChange} />
      <button type="button" class="button more" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
        Filters
      </button>
      <StatusFilter
        all={STATUSES}
        chosen={filters.status}
        counted={choices?.statuses}
        onChoose={(status) => set({ status })}
      />
      <Choice
        label="Created by"
        value={filters.created_by}
        counted={choices?.authors.map((each) => ({ ...each, label: personOf(each.value) }))}
        onChoose={(created_by) => set({ created_by })}
      />
      <Choice
        label="Version"
        value={filters.version}
        counted={choices?.versions}
        onChoose={(version) => set({ version })}
      />
      <Choice
        label="Runtime"
        value={filters.runtime}
        counted={choices?.runtimes}
        onChoose={(runtime) => set({ runtime })}
      />
      <Moment label="Since" value={filters.since} onChoose={(since) => set({ since })} />
      <Moment label="Until" value={filters.until} onChoose={(until) => set({ until })} />
      {isFiltered(filters) && (
        <Action
          kind="plain"
          onClick={() => {
            onChange(NO_FILTERS);
            // The button goes with the filters, and the focus would with it.
            document.getElementById(SEARCH_ID)?.focus();
          }}
        >
          Clear
        </Action>
      )}
    </search>
  );
}

function Search({ filters, onChange }: Omit<Props, "app">) {
  const [text, setText] = useState(filters.q);
  const asked = useRef(filters.q);
  const latest = useRef(filters);
  latest.current = filters;
  useEffect(() => {
    // Back, a link or Clear changed the address.
    if (filters.q !== asked.current) setText(filters.q);
    asked.current = filters.q;
  }, [filters.q]);
  useEffect(() => {
    if (text === asked.current) return;
    const wait = setTimeout(() => {
      asked.current = text;
      onChange({ ...latest.current, q: text }, true);
    }, PAUSE);
    return () => clearTimeout(wait);
  }, [text, onChange]);
  return (
    <label class="search">
      <span class="hidden-label">Search sequence, version, description, message, author, status or name</span>
      <Icon shape="search" />
      <input
        id={SEARCH_ID}
        class="input"
        type="search"
        placeholder="Search #8, version, words"
        maxLength={SEARCH_MOST}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </label>
  );
}

interface StatusProps {
  all: readonly string[];
  chosen: readonly string[];
  counted?: Counted[];
  onChoose: (chosen: string[]) => void;
}

/** One, several or all statuses. */
export function StatusFilter({ all, chosen, counted, onChoose }: StatusProps) {
  const count = new Map(counted?.map((each) => [each.value, each.count]));
  const words = chosen.map(wordOf).join(", ");
  return (
    <Choices label="Status" says={words || "Status"} note={words ? " (status)" : ": all"} isSet={chosen.length > 0}>
      {all.map((status) => (
        <label key={status} class="tick-line">
          <input
            type="checkbox"
            checked={chosen.includes(status)}
            onChange={(event) => {
              const { checked } = event.currentTarget;
              onChoose(all.filter((each) => (each === status ? checked : chosen.includes(each))));
            }}
          />
          {wordOf(status)}
          {counted && <span class="muted count">{count.get(status) ?? 0}</span>}
        </label>
      ))}
    </Choices>
  );
}

interface ChoicesProps {
  label: string;
  /** What its button says, and what it says to screen readers beside. */
  says: string;
  note?: string;
  isSet: boolean;
  children: ComponentChildren;
}

/** What drops down from the bar of filters. */
export function Choices({ label, says, note, isSet, children }: ChoicesProps) {
  const details = useRef<HTMLDetailsElement>(null);
  useClosing(details);
  return (
    <details ref={details} class={isSet ? "choices set" : "choices"}>
      <summary class="input">
        <span>{says}</span>
        <span class="hidden-label">{note}</span>
      </summary>
      <fieldset aria-label={label}>{children}</fieldset>
    </details>
  );
}

/** Closes what drops down from the bar: by Escape, and by whatever is pressed or gets the focus outside of it. */
function useClosing(details: RefObject<HTMLDetailsElement | null>): void {
  useEffect(() => {
    const outside = (event: Event) => {
      const { current } = details;
      if (current?.open && !current.contains(event.target as Node)) current.open = false;
    };
    const leave = (event: KeyboardEvent) => {
      const { current } = details;
      if (event.key !== "Escape" || !current?.open || event.defaultPrevented) return;
      event.preventDefault();
      current.open = false;
      if (current.contains(document.activeElement)) current.querySelector("summary")?.focus();
    };
    const ends = [listen("pointerdown focusin", outside), listen("keydown", leave)];
    return () => {
      for (const end of ends) end();
    };
  }, [details]);
}

interface ChoiceProps {
  label: string;
  value: string;
  counted?: { value: string; count?: number; label?: string }[];
  onChoose: (value: string) => void;
}

/** One of the values that there are, or all. */
export function Choice({ label, value, counted = [], onChoose }: ChoiceProps) {
  const isKnown = value === "" || counted.some((each) => each.value === value);
  return (
    <label>
      <select
        aria-label={label}
        class={value ? "input set" : "input"}
        value={value}
        onChange={(event) => onChoose(event.currentTarget.value)}
      >
        <option value="">{label}</option>
        {!isKnown && <option value={value}>{value}</option>}
        {counted.map((each) => (
          <option key={each.value} value={each.value}>
            {each.label ?? each.value}
            {each.count !== undefined && ` (${each.count})`}
          </option>
        ))}
      </select>
    </label>
  );
}

export function Moment({
  label,
  value,
  onChoose,
}: {
  label: string;
  value: string;
  onChoose: (moment: string) => void;
}) {
  return (
    <label class="moment">
      <span class="small muted">{label}</span>
      <input
        class={value ? "input set" : "input"}
        type="datetime-local"
        value={toLocal(value)}
        onChange={(event) => onChoose(fromLocal(event.currentTarget.value) ?? "")}
      />
    </label>
  );
}
