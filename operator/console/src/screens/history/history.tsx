import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { readHistory } from "../../api/history.ts";
import { asSearch, type HistoryFilters, isFiltered, readFilters } from "../../pure/history-filters.ts";
import type { App, AppRights, Row, Verification } from "../../pure/shapes.ts";
import { sentence } from "../../pure/texts.ts";
import { connection, onReturn } from "../../state/connection.ts";
import { useLocation } from "../../state/location.tsx";
import { refresh } from "../../state/query.ts";
import { useRejections } from "../../state/rejections.ts";
import { useAppEvents } from "../../state/watch.ts";
import { Action } from "../../ui/action.tsx";
import { Empty, Failure, Skeleton, Trouble } from "../../ui/states.tsx";
import { Rules } from "../guards/rules.tsx";
import { KeysDialog, VerifyPanel } from "../parts.ts";
import { FilterBar } from "./filters.tsx";
import "./history.css";
import { useRights } from "../../state/rights.ts";
import { kept } from "./kept.ts";
import { HistoryPages } from "./pages.ts";
import { HistoryTable, type TableControl } from "./table.tsx";
import { TickedBar, useTicked } from "./ticked.tsx";
import { HistoryToolbar } from "./toolbar.tsx";

/** The History tab: every deployment of an App, newest first. */
export function HistoryTab({ app }: { app: App }) {
  const { route } = useLocation();
  const filters = useFilters(app.id);
  const pages = usePages(app.id, filters);
  const rights = useRights(app.id).data.value;
  const rejections = useRejections(app.id);
  const ticked = useTicked(app.id);
  const table = useRef<TableControl>(null);
  const [verified, setVerified] = useState<Verification>();
  const [isVerifying, setVerifying] = useState(false);
  const [isHelping, setHelping] = useState(false);
  const change = (next: HistoryFilters, replace = false) =>
    route(`/console/apps/${app.id}/history${asSearch(next)}`, replace);
  useAppEvents(app.id, { onDeployment: (row) => pages.take(row as Row), onRemoved: pages.again, onAgain: pages.again });
  const total = pages.total.value;
  useEffect(() => {
    if (total !== undefined) refresh(`history-filters ${app.id}`);
  }, [app.id, total]);
  const problem = pages.problem.value;
  // Of the rows that are shown: those of the filters of the address may not be there yet.
  const isNew = total === 0 && !isFiltered(pages.filters);
  return (
    <>
      <Rules app={app} rights={rights} search={asSearch(filters)} />
      <section class="panel history" aria-label="Deployment history">
        {total !== undefined && total > 0 && (
          <button type="button" class="skip button" onClick={() => table.current?.enter()}>
            Skip to the table
          </button>
        )}
        <HistoryToolbar
          {...{ app, filters, total, verified, isVerifying }}
          onVerify={() => setVerifying(!isVerifying)}
        />
        {isVerifying && (
          <VerifyPanel
            app={app}
            verified={verified}
            onVerified={setVerified}
            onShow={(sequence) => void table.current?.goTo({ sequence })}
          />
        )}
        {!isNew && (total !== undefined || !problem || isFiltered(filters)) && (
          <FilterBar app={app} filters={filters} onChange={change} />
        )}
        {total !== undefined && <Trouble query={pages} retry={pages.again} />}
        {pages.lacks.value && (
          <p class="notice warn" role="status">
            {sentence(pages.lacks.value)}.
          </p>
        )}
        {total === undefined ? (
          problem ? (
            <Failure problem={problem} retry={pages.again} />
          ) : (
            <Skeleton lines={10} />
          )
        ) : total === 0 ? (
          noRows(app, isNew, rights, () => change(readFilters({})))
        ) : (
          <HistoryTable
            app={app}
            pages={pages}
            search={asSearch(filters)}
            rights={rights}
            ticked={ticked}
            misfits={verified?.misfits}
            rejections={rejections}
            control={table}
            onHelp={() => setHelping(true)}
          />
        )}
        <p class="on-paper">These are the rows that were in view. Print, above the table, prints all of them.</p>
        <TickedBar app={app} ticked={ticked} />
        {isHelping && <KeysDialog onClose={() => setHelping(false)} />}
      </section>
    </>
  );
}

/** Draws what stands for the rows where there is none: at all where it `isNew`, else under these filters. */
function noRows(app: App, isNew: boolean, rights: AppRights | undefined, clear: () => void) {
  return isNew ? (
    <Empty title="Nothing has been deployed yet">
      <p class="muted">Each deploy of this App becomes a row here: what went live, by whom, when, and how it ended.</p>
      <Action right={rights?.deploy} href={`/console/apps/${app.id}/deploy`} kind="primary">
        Deploy
      </Action>
    </Empty>
  ) : (
    <Empty title="No deployment fits these filters">
      <Action onClick={clear}>Clear the filters</Action>
    </Empty>
  );
}

/** The filters of the address; under a dialog whose address has none, those that were there before it opened. */
function useFilters(app: string): HistoryFilters {
  const { path, query } = useLocation();
  const last = useRef<HistoryFilters | undefined>(undefined);
  const isOwn = path.startsWith(`/console/apps/${app}/history`);
  if (isOwn || last.current === undefined) last.current = readFilters(isOwn ? query : {});
  return last.current;
}

/** The rows under the filters of the address. Those of the filters before are shown until the first of these are there. */
function usePages(app: string, filters: HistoryFilters): HistoryPages {
  const key = `${app} ${asSearch(filters)}`;
  const shown = useRef<HistoryPages | undefined>(undefined);
  const newest = useRef<{ key: string; pages: HistoryPages } | undefined>(undefined);
  if (newest.current?.key !== key) {
    if (newest.current && newest.current.pages !== shown.current) newest.current.pages.stop();
    newest.current = {
      key,
      pages:
        kept.pagesOf(key) ??
        new HistoryPages(
          app,
          filters,
          (given, page, size, signal) => readHistory(app, given, page, size, signal, true),
          () => connection.value === "online",
        ),
    };
  }
  const { pages } = newest.current;
  const isThere = pages.total.value !== undefined || pages.problem.value !== undefined;
  if (isThere || shown.current === undefined || shown.current.app !== app) {
    if (shown.current !== pages) shown.current?.stop();
    shown.current = pages;
  }
  // Not an effect that ends later: the page may be short by then, and scrolled to its top.
  useLayoutEffect(() => {
    let scroll = scrollY;
    const note = () => {
      scroll = scrollY;
    };
    addEventListener("scroll", note, { passive: true });
    return () => {
      removeEventListener("scroll", note);
      kept.leave(newest.current, scroll);
    };
  }, []);
  useEffect(() => onReturn(pages.again), [pages]);
  return shown.current;
}
