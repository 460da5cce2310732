import { useState } from "preact/hooks";
import { problemOf } from "../../api/problem.ts";
import { readProjects } from "../../api/read.ts";
import { FORMATS, type Format, type Report, readReport } from "../../api/report.ts";
import { reportLine } from "../../pure/commands.ts";
import { BEGIN } from "../../pure/csv.ts";
import { fromLocal, toLocal } from "../../pure/local-time.ts";
import { nameOf } from "../../pure/projects.ts";
import type { Project } from "../../pure/shapes.ts";
import { sentence } from "../../pure/texts.ts";
import { useNewest } from "../../state/newest.ts";
import { project } from "../../state/project.ts";
import { useQuery } from "../../state/query.ts";
import { Action } from "../../ui/action.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { save } from "../../ui/save.ts";
import { Segments } from "../../ui/segments.tsx";
import { TextField } from "../../ui/text-field.tsx";

const DAYS = 30;
const DAY = 86_400_000;
const KINDS: Record<Format, string> = { csv: "text/csv", md: "text/markdown", json: "application/json" };
const SAYS: Record<Format, string> = {
  csv: "For spreadsheets. Text that one would run as a formula has an apostrophe before it.",
  md: "A document in Markdown, to be read: the main columns, and whether the histories fit.",
  json: "Every value of each deploy, and of each history whether it fits.",
};

/** Reports the deploys of a time, of the project that the list shows or of all, into a file. */
export function ReportDialog({ onClose }: { onClose: () => void }) {
  const [since, setSince] = useState(() => toLocal(new Date(Date.now() - DAYS * DAY).toISOString()));
  const [until, setUntil] = useState("");
  const [format, setFormat] = useState<Format>("csv");
  const [isReading, setReading] = useState(false);
  const [made, setMade] = useState<{ report: Report; name: string }>();
  const [wrong, setWrong] = useState("");
  const request = useNewest();
  const chosen = useQuery("projects", readProjects).data.value?.find((each) => each.id === project.value);
  const [from, to] = [fromLocal(since), fromLocal(until)];
  const make = async () => {
    const signal = request.begin();
    setMade(undefined);
    if (from === undefined) {
      setReading(false);
      setWrong("Choose when it begins.");
      return;
    }
    setWrong("");
    setReading(true);
    try {
      const report = await readReport({ since: from, until: to, project: project.value, format }, signal);
      const name = `deploys-${from.slice(0, 10)}.${format}`;
      const parts = format === "csv" ? [BEGIN, report.text] : [report.text];
      save(new Blob(parts, { type: `${KINDS[format]};charset=utf-8` }), name);
      setMade({ report, name });
    } catch (thrown) {
      if (!signal.aborted) setWrong(problemOf(thrown).message);
    }
    if (!signal.aborted) setReading(false);
  };
  return (
    <Dialog title="Report of deploys" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <div class="body">
          <Contents of={chosen} />
          <TextField type="datetime-local" label="Since" value={since} onChange={setSince} wrong={wrong} />
          <TextField
            type="datetime-local"
            label="Until"
            hint="Left empty: until now."
            value={until}
            onChange={setUntil}
          />
          <Segments label="Format" choices={FORMATS} value={format} onChange={setFormat} />
          <p class="small muted">{SAYS[format]}</p>
          <div role="status" class="break" aria-busy={isReading}>
            {isReading && <p class="muted">Every row is read and its digest computed anew…</p>}
            {made && (
              <p>
                {sentence(made.report.says)}. The report is in {made.name}.
              </p>
            )}
          </div>
          {from !== undefined && (
            <Command
              text={reportLine({ namespace: project.value ? chosen?.name : undefined, since: from, until: to, format })}
            />
          )}
        </div>
        <footer>
          <div class="buttons end">
            <Action onClick={onClose}>Close</Action>
            <Action kind="primary" type="submit" disabled={isReading}>
              Make the report
            </Action>
          </div>
        </footer>
      </form>
    </Dialog>
  );
}

/** What the report has, and of which project. */
function Contents({ of }: { of?: Project }) {
  return (
    <p>
      Every deploy that began in a time, in{" "}
      {project.value ? <strong>{of ? nameOf(of) : "this project"}</strong> : "all projects that you may read"}: by whom,
      approved by whom, and how it ended. Every digest of the histories is computed anew.
    </p>
  );
}
