import { render } from "preact";
import { useState } from "preact/hooks";
import { readVerification } from "../../api/history.ts";
import { problemOf } from "../../api/problem.ts";
import type { HistoryFilters } from "../../pure/history-filters.ts";
import type { App, Verification } from "../../pure/shapes.ts";
import { useNewest } from "../../state/newest.ts";
import { Action } from "../../ui/action.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { collect } from "./collect.ts";
import { Progress } from "./progress.tsx";
import { AuditReport, type ReportProps } from "./report.tsx";

/** Rows that are printed at most: some 300 pages. */
const PRINTED_MOST = 2_000;

interface Props {
  app: App;
  filters: HistoryFilters;
  total: number;
  /** A digest that the history was verified against. */
  expect?: string;
  onClose: () => void;
}

/** Prints an audit report of what is filtered, with what verifying the history found. */
export function PrintDialog({ app, filters, total, expect, onClose }: Props) {
  const [read, setRead] = useState<[number, number]>();
  const [says, say] = useState("");
  const request = useNewest();
  const run = async () => {
    const signal = request.begin();
    say("");
    setRead([0, Math.min(total, PRINTED_MOST)]);
    try {
      const verifying = verdictOf(app.id, expect, signal);
      const found = await collect(
        app.id,
        filters,
        signal,
        (done, all) => setRead([done, Math.min(all, PRINTED_MOST)]),
        PRINTED_MOST,
      );
      await print({ app, filters, ...found, verified: await verifying, at: new Date().toISOString() });
      onClose();
    } catch (thrown) {
      if (!signal.aborted) say(problemOf(thrown).message);
      setRead(undefined);
    }
  };
  const cancel = () => {
    request.end();
    onClose();
  };
  const isCut = total > PRINTED_MOST;
  return (
    <Dialog title="Print an audit report" onClose={cancel}>
      <div class="body">
        <p>
          {isCut ? `The newest ${PRINTED_MOST.toLocaleString("en")} of ${total.toLocaleString("en")}` : `All ${total}`}{" "}
          {total === 1 ? "row" : "rows"} under the filters, with absolute times, digests, and what verifying the history
          finds.
        </p>
        {isCut && <p class="notice warn">Filter by date to print the others, or export all of them.</p>}
        {read && <Progress read={read[0]} total={read[1]} what="rows are read" />}
        {says && (
          <p class="notice bad break" role="alert">
            {says}
          </p>
        )}
      </div>
      <footer>
        <div class="buttons end">
          <Action onClick={cancel}>Cancel</Action>
          <Action kind="primary" disabled={read !== undefined} onClick={() => void run()}>
            Print
          </Action>
        </div>
      </footer>
    </Dialog>
  );
}

async function verdictOf(app: string, expect: string | undefined, signal: AbortSignal): Promise<Verification | string> {
  try {
    return await readVerification(app, expect, signal);
  } catch (thrown) {
    return `It could not be verified: ${problemOf(thrown).message}`;
  }
}

/** Lays out a report beside the page, which the print styles then show alone, and removes it when it was printed. */
async function print(report: ReportProps): Promise<void> {
  const holder = document.createElement("div");
  holder.className = "report";
  document.body.append(holder);
  render(<AuditReport {...report} />, holder);
  const printed = new Promise((resolve) => addEventListener("afterprint", resolve, { once: true }));
  const title = document.title;
  document.title = `${report.app.resource_name} deployment history ${report.at.slice(0, 10)}`;
  try {
    await new Promise((resolve) => setTimeout(resolve, 50));
    window.print();
    await printed;
  } finally {
    document.title = title;
    render(null, holder);
    holder.remove();
  }
}
