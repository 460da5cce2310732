import { useState } from "preact/hooks";
import { isUnrecorded, readMetrics } from "../../api/runs.ts";
import { type Interval, moments, STEPS } from "../../pure/chart.ts";
import { asSearch, NO_FILTERS } from "../../pure/history-filters.ts";
import { count, dollars, failureRate, percent, rowOf, shortId, tokensOf, took } from "../../pure/run-words.ts";
import type { App, Figures, GroupBy, Metrics, Series } from "../../pure/shapes.ts";
import { sentence } from "../../pure/texts.ts";
import { useLocation } from "../../state/location.tsx";
import { useQuery } from "../../state/query.ts";
import { usePoll } from "../../ui/poll.ts";
import { Segments } from "../../ui/segments.tsx";
import { Empty, Loaded } from "../../ui/states.tsx";
import "../runs/runs.css";
import { useRows } from "../../state/rows.ts";
import { useConversations } from "../../ui/conversations.ts";
import { Choice } from "../history/filters.tsx";
import { Tiles } from "../runs/tiles.tsx";
import { ConversationPanel } from "../sessions/parts.ts";
import { Chart, type Deploy, type Line } from "./chart.tsx";
import { CompareRuns } from "./compare.tsx";
import { Unrecorded } from "./unrecorded.tsx";

const RANGES = ["1 h", "24 h", "7 d", "30 d"] as const;
type Range = (typeof RANGES)[number];
const MEANS: Record<Range, [hours: number, interval: Interval]> = {
  "1 h": [1, "minute"],
  "24 h": [24, "hour"],
  "7 d": [168, "hour"],
  "30 d": [720, "day"],
};
const GROUPS = (["deployment", "workflow_version", "trigger", "status", "node", "model"] as const).map((value) => ({
  value,
  label: sentence(value.replace("_", " ")),
}));
const SHOWN_MOST = 5;
const LOOKED_AGAIN_AFTER = 30_000;
/** An App that is younger has too few hours to see a line through them. */
const YOUNG = 3 * STEPS.hour;

/** The Monitoring tab: what the App's runs came to over time, and whether a deploy made it worse. */
export function MonitoringTab({ app }: { app: App }) {
  const { query: address, route } = useLocation();
  // What it opens with stays while it is looked at.
  const [usual] = useState<Range>(() => (Date.now() - Date.parse(app.created_at) < YOUNG ? "1 h" : "24 h"));
  const range = RANGES.find((each) => each === address.range) ?? usual;
  const group = GROUPS.find(({ value }) => value === address.group)?.value ?? "";
  const whole = useMetrics(app, range, "");
  const grouped = useMetrics(app, range, group || undefined);
  const set = (part: Record<string, string>) => {
    const search = new URLSearchParams({ ...address, ...part });
    for (const [name, value] of [...search]) if (!value) search.delete(name);
    route(`/console/apps/${app.id}/monitoring?${search}`, true);
  };
  usePoll(LOOKED_AGAIN_AFTER, () => {
    if (isUnrecorded(whole.problem.value)) return;
    void whole.refresh();
    if (group) void grouped.refresh();
  });
  const conversations = useConversations(app.id);
  const panel = conversations.length > 0 && <ConversationPanel app={app} found={conversations} />;
  if (isUnrecorded(whole.problem.value)) {
    return (
      <>
        <Unrecorded />
        {panel}
      </>
    );
  }
  return (
    <>
      <div class="heading monitoring-head">
        <h2>Monitoring</h2>
        <div class="buttons">
          <Choice label="Group by" value={group} counted={GROUPS} onChoose={(next) => set({ group: next })} />
          <Segments label="Time" choices={RANGES} value={range} onChange={(next) => set({ range: next })} />
        </div>
      </div>
      <Loaded query={whole} lines={10}>
        {(found) => {
          const total = found.series[0]?.total;
          if (!total?.runs) return <NoRuns range={range} />;
          return (
            <>
              <Total total={total} />
              {!group && <Charts app={app} found={found} />}
            </>
          );
        }}
      </Loaded>
      {group && (
        <Loaded query={grouped} lines={10}>
          {(found) => <Charts app={app} found={found} />}
        </Loaded>
      )}
      <CompareRuns app={app} chosen={address} onChoose={set} />
      {panel}
    </>
  );
}

function useMetrics(app: App, range: Range, group: GroupBy | "" | undefined) {
  const [hours, interval] = MEANS[range];
  return useQuery(group === undefined ? group : `metrics ${app.id} ${range} ${group}`, (signal) => {
    const step = STEPS[interval];
    const from = new Date((Math.floor(Date.now() / step) + 1) * step - hours * STEPS.hour).toISOString();
    return readMetrics(app.id, { from, interval, group_by: group || undefined }, signal);
  });
}

function NoRuns({ range }: { range: Range }) {
  return (
    <section class="panel">
      <Empty title={`No run in the last ${range}`} />
    </section>
  );
}

function Total({ total }: { total: Figures }) {
  return (
    <Tiles
      isPanel
      facts={[
        ["Invocations", count(total.runs, true)],
        ["Failed", `${count(total.failed)} (${percent(failureRate(total))})`],
        ["p50", took(total.p50_ms)],
        ["p95", took(total.p95_ms)],
        ["Tokens", count(tokensOf(total), true)],
        [
          total.unpriced_calls ? `Cost, ${count(total.unpriced_calls)} calls unpriced` : "Cost",
          dollars(total.cost_usd),
        ],
      ]}
    />
  );
}

function Charts({ app, found }: { app: App; found: Metrics }) {
  const [at, setAt] = useState<number>();
  const rows = useRows(app) ?? [];
  const begins = moments(found.since, found.until, found.interval);
  const deploys: Deploy[] = rows
    .filter((row) => row.status === "Live" || row.status === "Superseded")
    .map((row) => ({
      id: row.id,
      begun: Date.parse(row.created_at),
      at: Date.parse(row.created_at) + (row.duration_seconds ?? 0) * 1000,
      label: row.sequence === null ? row.name : `#${row.sequence}`,
    }))
    .sort((one, other) => one.at - other.at);
  const series = found.series
    .toSorted((one, other) => other.total.runs - one.total.runs)
    .slice(0, SHOWN_MOST)
    .sort((one, other) => (one.sequence ?? 0) - (other.sequence ?? 0));
  const more = found.series.length - series.length;
  const isGrouped = found.group_by !== null;
  const lines = (of: (figures: Figures) => number | null, label: string, isCounted: boolean): Line[] =>
    series.map((each) => {
      const byTime = new Map(each.points.map((point) => [Date.parse(point.at), of(point)]));
      return {
        label: isGrouped ? nameOf(each) : label,
        values: begins.map((begin) => byTime.get(begin) ?? (isCounted && !isGrouped ? 0 : null)),
      };
    });
  const shared = {
    moments: begins,
    until: Date.parse(found.until),
    deploys,
    addressOf: (of: Deploy[]) => `/console/apps/${app.id}/history${of.length > 1 ? searchOf(of) : `/${of[0]?.id}`}`,
    at,
    onAt: setAt,
  };
  const counted = (value: number | null) => count(value, true);
  const p50 = isGrouped ? [] : lines((each) => each.p50_ms, "p50", false);
  return (
    <>
      {more > 0 && (
        <p class="small muted">
          The {SHOWN_MOST} with the most runs are shown; {more} more have fewer.
        </p>
      )}
      <div class="charts">
        <Chart {...shared} title="Invocations" says={counted} lines={lines((each) => each.runs, "runs", true)} />
        <Chart {...shared} title="Failures" says={counted} lines={lines((each) => each.failed, "failed", true)} />
        <Chart
          {...shared}
          title={isGrouped ? "Duration, p95" : "Duration"}
          says={took}
          lines={[...p50, ...lines((each) => each.p95_ms, "p95", false)]}
        />
        <Chart
          {...shared}
          title="Tokens"
          says={counted}
          lines={
            isGrouped
              ? lines(tokensOf, "tokens", true)
              : [...lines((each) => each.input_tokens, "in", true), ...lines((each) => each.output_tokens, "out", true)]
          }
        />
        <Chart {...shared} title="Cost" says={dollars} lines={lines((each) => each.cost_usd, "US dollars", false)} />
      </div>
    </>
  );
}

/** The time in which deploys were asked for, as filters of the history. */
function searchOf(deploys: Deploy[]): string {
  const begun = deploys.map((deploy) => deploy.begun);
  const [since = "", until = ""] = [Math.min(...begun), Math.max(...begun) + 1000].map((at) =>
    new Date(at).toISOString(),
  );
  return asSearch({ ...NO_FILTERS, since, until });
}

/** What a group is called. */
function nameOf(series: Series): string {
  if (series.sequence !== null) return rowOf({ workflow_version: series.workflow_version, sequence: series.sequence });
  return series.name ?? (/^[0-9a-f-]{36}$/.test(series.key) ? shortId(series.key) : series.key || "none");
}
