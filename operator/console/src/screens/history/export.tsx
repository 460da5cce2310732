import { useState } from "preact/hooks";
import { problemOf } from "../../api/problem.ts";
import { computeInWords } from "../../pure/config-words.ts";
import { BEGIN, type Cell, lines } from "../../pure/csv.ts";
import { asQuery, type HistoryFilters, isFiltered } from "../../pure/history-filters.ts";
import { configOf } from "../../pure/row-words.ts";
import type { App, Row } from "../../pure/shapes.ts";
import { line } from "../../pure/shell.ts";
import { plural } from "../../pure/texts.ts";
import { useNewest } from "../../state/newest.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { save } from "../../ui/save.ts";
import { Segments } from "../../ui/segments.tsx";
import { collect } from "./collect.ts";
import { Progress } from "./progress.tsx";

interface Props {
  app: App;
  filters: HistoryFilters;
  total: number;
  onClose: () => void;
}

type Format = "csv" | "json";

/** Writes what is filtered into a file: every page of it. */
export function ExportDialog({ app, filters, total, onClose }: Props) {
  const [format, setFormat] = useState<Format>("csv");
  const [read, setRead] = useState<[number, number]>();
  const [says, say] = useState("");
  const request = useNewest();
  const run = async () => {
    const signal = request.begin();
    say("");
    setRead([0, total]);
    try {
      const { rows, lacks } = await collect(app.id, filters, signal, (done, all) => setRead([done, all]));
      save(fileOf(app, filters, rows, format), `${app.resource_name}-history.${format}`);
      const done = `${rows.length.toLocaleString("en")} rows are in ${app.resource_name}-history.${format}.`;
      say(lacks ? `${done} Not all of the history: ${lacks}.` : done);
    } catch (thrown) {
      if (!signal.aborted) say(problemOf(thrown).message);
    } finally {
      setRead(undefined);
    }
  };
  const which = isFiltered(filters) ? "that the filters take" : "of the history";
  return (
    <Dialog title="Export" onClose={onClose}>
      <div class="body">
        <p>
          {plural(total, "row")} {which}, newest first.
        </p>
        <Segments
          label="Format"
          choices={["CSV", "JSON"]}
          value={format.toUpperCase()}
          disabled={read !== undefined}
          onChange={(chosen) => setFormat(chosen.toLowerCase() as Format)}
        />
        <p class="small muted">
          {format === "csv"
            ? "For spreadsheets. Text that one would run as a formula has an apostrophe before it; JSON has every letter as it is."
            : "Every field of each row, as the API has it."}
        </p>
        <div role="status" class="break">
          {read ? <Progress read={read[0]} total={read[1]} what="rows are read" /> : says}
        </div>
        <Command text={commandOf(app, format)} />
      </div>
      <footer>
        <div class="buttons end">
          <Action onClick={() => (read ? request.end() : onClose())}>{read ? "Cancel" : "Close"}</Action>
          <Action kind="primary" disabled={read !== undefined} onClick={() => void run()}>
            Export
          </Action>
        </div>
      </footer>
    </Dialog>
  );
}

/** The plugin writes JSON; of CSV it prints the main columns. */
function commandOf(app: App, format: Format): string {
  const words = line("kubectl", "dynamiq", "history", app.resource_name, "-n", app.namespace);
  if (format === "json") return `${words} -o json`;
  const template = '{range [*]}{.sequence},{.version},{.status},{.runtime},{.createdBy}{"\\n"}{end}';
  return `${words} -o jsonpath='${template}'`;
}

const COLUMNS: [string, (row: Row) => Cell][] = [
  ["sequence", (row) => row.sequence],
  ["version", (row) => row.workflow_version?.version],
  ["description", (row) => row.workflow_version?.description],
  ["status", (row) => row.status],
  ["ending", (row) => row.ending],
  ["is_live", (row) => row.is_live],
  ["reason", (row) => row.reason],
  ["created_by", (row) => row.created_by?.username],
  ["runtime", (row) => row.runtime?.version],
  ["date", (row) => row.created_at],
  ["duration_seconds", (row) => row.duration_seconds],
  ["config", (row) => configOf(row.deployment_config)],
  ["resources", (row) => computeInWords(row.deployment_config.config.resources)],
  ["message", (row) => row.message],
  ["provenance", (row) => row.provenance],
  ["source", (row) => row.source],
  ["digest", (row) => row.digest],
  ["name", (row) => row.name],
  ["id", (row) => row.id],
];

function fileOf(app: App, filters: HistoryFilters, rows: Row[], format: Format): Blob {
  if (format === "csv") {
    const head = lines([COLUMNS.map(([name]) => name)]);
    const body = rows.map((row) => lines([COLUMNS.map(([, value]) => value(row))]));
    return new Blob([BEGIN, head, ...body], { type: "text/csv;charset=utf-8" });
  }
  const about = {
    app: {
      id: app.id,
      name: app.name,
      namespace: app.namespace,
      resource_name: app.resource_name,
      hostname: app.hostname,
    },
    exported_at: new Date().toISOString(),
    filters: asQuery(filters),
    deployments: rows,
  };
  return new Blob([JSON.stringify(about, null, 2)], { type: "application/json" });
}
