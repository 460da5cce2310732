import { useState } from "preact/hooks";
import type { Verification } from "../../api/history.ts";
import type { App } from "../../api/read.ts";
import type { HistoryFilters } from "../../pure/history-filters.ts";
import { Icon } from "../../ui/icons.tsx";
import { ExportDialog, PrintDialog } from "../parts.ts";

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
  const [opened, open] = useState<"export" | "print">();
  const close = () => open(undefined);
  return (
    <header>
      <h2>
        Deployment history
        <span class="muted small total" role="status">
          {total === undefined ? "" : `${total.toLocaleString("en")} ${total === 1 ? "deployment" : "deployments"}`}
        </span>
      </h2>
      {total !== undefined && (
        <div class="buttons">
          <button type="button" class="button tiny" aria-expanded={isVerifying} onClick={onVerify}>
            {verified ? (
              <span class={verified.fits ? "verdict good" : "verdict bad"}>
                <Icon shape={verified.fits ? "check" : "warning"} /> {verified.fits ? verified.says : "It does not fit"}
              </span>
            ) : (
              "Verify"
            )}
          </button>
          <button type="button" class="button tiny" disabled={total === 0} onClick={() => open("export")}>
            Export
          </button>
          <button type="button" class="button tiny" disabled={total === 0} onClick={() => open("print")}>
            <Icon shape="print" /> Print
          </button>
        </div>
      )}
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
    </header>
  );
}
