import { isUnrecorded, readRunComparison } from "../../api/runs.ts";
import { titleOf } from "../../pure/row-words.ts";
import { comparedLines, rowOf } from "../../pure/run-words.ts";
import type { App, RunComparison } from "../../pure/shapes.ts";
import { useQuery } from "../../state/query.ts";
import { useRows } from "../../state/rows.ts";
import { FigureTable } from "../../ui/figures.tsx";
import { Loaded } from "../../ui/states.tsx";
import { Status } from "../../ui/status.tsx";
import { Choice } from "../history/filters.tsx";

interface Props {
  app: App;
  chosen: Record<string, string | undefined>;
  onChoose: (part: Record<string, string>) => void;
}

/** Two rows by their runs: the live one and the one before it, if none are chosen. */
export function CompareRuns({ app, chosen, onChoose }: Props) {
  const rows = useRows(app)?.map((each) => ({ value: each.id, label: titleOf(each) }));
  const row = chosen.row ?? app.live?.deployment_id ?? undefined;
  if (!row || !rows?.length) return null;
  return (
    <section class="panel" aria-labelledby="compare-runs">
      <header>
        <h2 id="compare-runs">Did the deploy make it worse?</h2>
        <div class="buttons">
          <Choice label="Row" value={row} counted={rows} onChoose={(next) => onChoose({ row: next })} />
          <Choice
            label="Against previous"
            value={chosen.baseline ?? ""}
            counted={rows}
            onChoose={(baseline) => onChoose({ baseline })}
          />
        </div>
      </header>
      <ComparedRuns app={app} row={row} baseline={chosen.baseline || undefined} />
    </section>
  );
}

/** The figures of a row's runs against another's. `isQuiet`: nothing where there is no recorder. */
export function ComparedRuns({
  app,
  row,
  baseline,
  isQuiet,
}: {
  app: App;
  row: string;
  baseline?: string;
  isQuiet?: boolean;
}) {
  const query = useQuery(`runs compared ${row} ${baseline}`, (signal) =>
    readRunComparison(app.id, row, baseline, signal),
  );
  if (isQuiet && (isUnrecorded(query.problem.value) || query.problem.value?.isForbidden)) return null;
  return (
    <Loaded query={query} lines={6}>
      {(found) => <Compared found={found} />}
    </Loaded>
  );
}

function Compared({ found }: { found: RunComparison }) {
  const { deployment, baseline } = found;
  return (
    <div class="inside stack">
      <p class="verdict-line">
        <Status word={found.verdict} /> <span class="break">{found.sentence}</span>
      </p>
      <FigureTable
        label="Figures of both rows"
        head={[
          "FIGURE",
          baseline ? rowOf(baseline) : "BEFORE",
          rowOf(deployment),
          "CHANGE",
          "95 % INTERVAL",
          "VERDICT",
        ]}
        rows={comparedLines(found).map(({ verdict, ...line }) => [
          ...Object.values(line),
          verdict && <Status key="verdict" word={verdict} />,
        ])}
      />
    </div>
  );
}
