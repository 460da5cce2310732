import { computeInWords } from "../../pure/config-words.ts";
import { type HistoryFilters, inWords } from "../../pure/history-filters.ts";
import { configOf, numberOf, provenanceOf, statusOf } from "../../pure/row-words.ts";
import type { App, Row, Verification } from "../../pure/shapes.ts";
import { sentence } from "../../pure/texts.ts";
import { absolute, duration } from "../../pure/time.ts";
import { verdictOf, WITHOUT_DIGEST } from "../../pure/verdict.ts";
import { user } from "../../state/session.ts";
import { Fact } from "../../ui/fact.tsx";

export interface ReportProps {
  app: App;
  filters: HistoryFilters;
  rows: Row[];
  /** Rows under the filters: more than `rows` where not all are printed. */
  total: number;
  /** Why rows of the archive are not among these. */
  lacks?: string;
  /** What verifying found, or why there is nothing. */
  verified: Verification | string;
  at: string;
}

const COLUMNS = [
  ["#", "6%"],
  ["DETAILS", "38%"],
  ["STATUS", "19%"],
  ["CREATED BY", "17%"],
  ["RUNTIME", "9%"],
  ["DATE", "11%"],
] as const;

/** An audit report on paper: what it is about, who printed it, what verifying found, and every row with its digest. */
export function AuditReport({ app, filters, rows, total, lacks, verified, at }: ReportProps) {
  const isCut = total > rows.length;
  return (
    <article>
      <h1>Deployment history of {app.name}</h1>
      <dl class="facts">
        <Fact label="App">
          {app.namespace}/{app.resource_name}
          {app.environment && ` (${app.environment})`} · {app.id}
        </Fact>
        <Fact label="Hostname">{app.hostname ?? "none"}</Fact>
        <Fact label="Printed">
          {absolute(at)} by {user.value?.username ?? "unknown"}
        </Fact>
        <Fact label="Filters">{inWords(filters, (moment) => absolute(moment)) || "none: the whole history"}</Fact>
        <Fact label="Rows">
          {isCut
            ? `The newest ${rows.length.toLocaleString("en")} of ${total.toLocaleString("en")} rows. The others are not in this report.`
            : `${rows.length.toLocaleString("en")}${lacks ? "" : ", all of them"}`}
          {lacks && <p>Not all of the history: {lacks}.</p>}
        </Fact>
        <Fact label="Verified">
          <Verdict verified={verified} />
          <p>{ofMissing(rows)}</p>
        </Fact>
      </dl>
      <table>
        <thead>
          <tr>
            {COLUMNS.map(([title, width]) => (
              <th key={title} style={{ width }}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        {rows.map((row) => (
          <ReportRow key={row.id} row={row} />
        ))}
      </table>
    </article>
  );
}

function Verdict({ verified }: { verified: Verification | string }) {
  if (typeof verified === "string") return <>{verified}</>;
  const { newest, expected, misfits } = verified;
  const told = verdictOf(verified);
  return (
    <>
      {sentence(told.says)}
      {newest && (
        <>
          <br />
          Newest digest (#{newest.sequence}): <code>{newest.digest}</code>
        </>
      )}
      {expected && (
        <>
          <br />
          Expected <code>{expected.digest}</code>: {told.expected?.says}
        </>
      )}
      {misfits.map((each) => (
        <p key={each.deployment_id}>
          #{each.sequence ?? "?"} {each.name}: {each.says}
        </p>
      ))}
    </>
  );
}

/** How many of the rows have no digest, and why. */
function ofMissing(rows: Row[]): string {
  const count = rows.filter((row) => !row.digest).length;
  return count === 0 ? "" : `${count.toLocaleString("en")} of these rows without a digest. ${WITHOUT_DIGEST}`;
}

function ReportRow({ row }: { row: Row }) {
  const from = [provenanceOf(row), row.message].filter(Boolean).join(" · ");
  const config = [configOf(row.deployment_config), computeInWords(row.deployment_config.config.resources)];
  return (
    <tbody>
      <tr>
        <td>{row.sequence ?? "—"}</td>
        <td>
          <strong>{row.workflow_version?.version ?? "—"}</strong> {row.workflow_version?.description}
          {from && <div>{from}</div>}
          <div class="muted">{config.filter(Boolean).join("; ")}</div>
        </td>
        <td>
          {statusOf(row)}
          {row.is_live && row.status !== "Live" && " (live)"}
          {row.duration_seconds !== null && `, ${duration(row.duration_seconds)}`}
          {row.reason && <div>{row.reason}</div>}
        </td>
        <td>{row.created_by?.username ?? "unknown"}</td>
        <td>{row.runtime?.version ?? "—"}</td>
        <td>{absolute(row.created_at)}</td>
      </tr>
      <tr class="digest">
        <td />
        <td colSpan={5}>
          <code>{row.digest ?? "no digest: it was never rolled out"}</code> {numberOf(row) !== row.name && row.name}
        </td>
      </tr>
    </tbody>
  );
}
