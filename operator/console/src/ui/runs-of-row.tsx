import { figuresInWords } from "../pure/run-words.ts";
import { useVerdict } from "../state/verdicts.ts";
import { Status } from "./status.tsx";

/** What a row's runs came to, and whether it made them worse, where a recorder says so. */
export function RunsOfRow({ app, row }: { app: string; row: string }) {
  const found = useVerdict(app, row);
  if (!found?.figures.runs) return null;
  return (
    <span class="runs-of-row small">
      {found.verdict !== "unknown" && <Status word={found.verdict} />}{" "}
      <a class="muted" href={`/console/apps/${app}/monitoring?row=${row}`} title={found.sentence}>
        {figuresInWords(found.figures)}
      </a>
    </span>
  );
}
