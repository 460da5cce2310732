import { useEffect, useState } from "preact/hooks";
import type { HistoryFilters } from "../../pure/history-filters.ts";
import type { App, Verification } from "../../pure/shapes.ts";
import { plural } from "../../pure/texts.ts";
import { verdictOf } from "../../pure/verdict.ts";
import { listen } from "../../state/listen.ts";
import { Action } from "../../ui/action.tsx";
import { Icon } from "../../ui/icons.tsx";
import { ExportDialog, LiveAtDialog, PrintDialog } from "../parts.ts";

/** The part of the Overview that has the lines to copy. */
const CALLS = "call-it";
const TRIES = 30;

interface Props {
  app: App;
  filters: HistoryFilters;
  /** Rows under the filters; undefined while that is not known. */
  total: number | undefined;
  verified?: Verification;
  isVerifying: boolean;
  onVerify: () => void;
}

/** The table's name, how many rows there are, and what can be done with all of them. */
export function HistoryToolbar({ app, filters, total, verified, isVerifying, onVerify }: Props) {
  const [opened, open] = useState<"at" | "export" | "print">();
  const close = () => open(undefined);
  const isIntact = verified !== undefined && verdictOf(verified).isIntact;
  usePrintKey(total !== undefined && total > 0, () => open("print"));
  return (
    <>
      <header>
        <h2>
          Deployment history
          <span class="small muted total" role="status">
            {total === undefined ? "" : plural(total, "deployment")}
          </span>
        </h2>
        {total !== undefined && (
          <div class="buttons">
            <button type="button" class="button tiny" aria-expanded={isVerifying} onClick={onVerify}>
              {verified ? (
                <span class={`verdict ${verified.fits ? "good" : isIntact ? "warn" : "bad"}`}>
                  <Icon shape={verified.fits ? "check" : "warning"} />{" "}
                  {verified.fits ? verified.says : isIntact ? "Expected digest: it does not fit" : "It does not fit"}
                </span>
              ) : (
                "Verify"
              )}
            </button>
            <Action tiny onClick={() => open("at")}>
              Live at…
            </Action>
            <button type="button" class="button tiny" disabled={total === 0} onClick={() => open("export")}>
              Export
            </button>
            <button type="button" class="button tiny" disabled={total === 0} onClick={() => open("print")}>
              <Icon shape="print" /> Print
            </button>
            <a class="button tiny" href={`/console/apps/${app.id}#${CALLS}`} onClick={() => showOnceThere(CALLS)}>
              API<span class="hidden-label">: how to read this history by it</span>
            </a>
          </div>
        )}
      </header>
      {opened === "at" && <LiveAtDialog app={app} onClose={close} />}
      {opened === "export" && <ExportDialog app={app} filters={filters} total={total ?? 0} onClose={close} />}
      {opened === "print" && (
        <PrintDialog
          app={app}
          filters={filters}
          total={total ?? 0}
          expect={verified?.expected?.digest}
          onClose={close}
        />
      )}
    </>
  );
}

/** The page's own print key makes the report: of the page itself only the rows in view are there. */
function usePrintKey(isOn: boolean, print: () => void): void {
  useEffect(() => {
    if (!isOn) return;
    const onKey = (event: KeyboardEvent) => {
      const isPrint = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key === "p";
      if (!isPrint || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      print();
    };
    return listen("keydown", onKey);
  }, [isOn]);
}

/** Brings a part of the next screen in sight, once it is there. */
function showOnceThere(id: string, tries = TRIES): void {
  setTimeout(() => {
    const part = document.getElementById(id);
    if (part) part.scrollIntoView();
    else if (tries > 0) showOnceThere(id, tries - 1);
  }, 100);
}
