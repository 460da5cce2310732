import type { RefObject } from "preact";
import { useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from "preact/hooks";
import { findSequence, type Place } from "../../pure/find-sequence.ts";
import { offerOn, rejectedAs, waitsOf, whyNotBack } from "../../pure/guards.ts";
import { canComeBack, likeLive, titleOf } from "../../pure/row-words.ts";
import type { App, AppRights, Rejection, Row, Verification } from "../../pure/shapes.ts";
import { plural } from "../../pure/texts.ts";
import { listen } from "../../state/listen.ts";
import { useLocation } from "../../state/location.tsx";
import { user } from "../../state/session.ts";
import { Action } from "../../ui/action.tsx";
import { useConversations } from "../../ui/conversations.ts";
import { toast } from "../../ui/toasts.tsx";
import { useWindowRows } from "../../ui/window-rows.ts";
import { JumpBar } from "./jump.tsx";
import { kept } from "./kept.ts";
import { useKeys } from "./keyboard.ts";
import { HistoryPages } from "./pages.ts";
import { HistoryRow, UnreadWholeRow } from "./row.tsx";
import { inOrder, type Ticked } from "./ticked.tsx";

export interface TableControl {
  /** Goes to a place, and says in a sentence what it found where it is not what was asked for. */
  goTo: (place: Place) => Promise<string>;
  /** Gives the focus to the active row, else to the newest. */
  enter: () => void;
}

interface Props {
  app: App;
  pages: HistoryPages;
  /** The filters as the address has them: dialogs over the list keep them. */
  search: string;
  rights?: AppRights;
  ticked: Ticked;
  misfits?: Verification["misfits"];
  rejections?: Rejection[];
  control: RefObject<TableControl | null>;
  onHelp: () => void;
}

const WIDE = matchMedia("(min-width: 56rem)");
const HEIGHT = { wide: 66, narrow: 172 };
/** What covers the top of the window: the frame's header and the table's, in pixels. */
const COVERED = { wide: 92, narrow: 88 };

/** The rows, of which only those in the window are rendered; and how one moves among them. */
export function HistoryTable(props: Props) {
  const { app, pages, search, rights, ticked, misfits, rejections, control, onHelp } = props;
  const total = pages.total.value ?? 0;
  void pages.moved.value;
  const isWide = useIsWide();
  const list = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<number>();
  const [wantsFocus, wantFocus] = useState(0);
  const activeIndex = active === undefined || active >= total ? undefined : total - 1 - active;
  const rows = useWindowRows({
    of: pages,
    count: total,
    estimate: isWide ? HEIGHT.wide : HEIGHT.narrow,
    keep: activeIndex,
    covered: isWide ? COVERED.wide : COVERED.narrow,
  });
  useEffect(() => pages.look(rows.first, rows.last), [pages, rows.first, rows.last]);
  useBegin(pages, rows.begin, () => setActive(undefined));

  const focus = useCallback(
    (index: number, align: "auto" | "start" = "auto") => {
      const to = Math.max(0, Math.min(index, total - 1));
      setActive(total - 1 - to);
      rows.scrollTo(to, align);
      wantFocus((times) => times + 1);
    },
    [total],
  );
  useFocusOn(list, active, wantsFocus);

  useImperativeHandle(
    control,
    () => ({ goTo: (place) => goTo(pages, place, focus), enter: () => focus(activeIndex ?? 0) }),
    [pages, focus, activeIndex],
  );
  // Whoever may go past a rejection brings its version back, and then says why.
  const whyNot = (row: Row) => whyNotBack(row, rights?.bypass.allowed);
  const onKeyDown = useTableKeys(props, focus, activeIndex, whyNot);
  const arrived = pages.arrived.value;
  const conversations = useConversations(app.id);
  return (
    <>
      <JumpBar onGo={(place) => goTo(pages, place, focus)} onHelp={onHelp} />
      {arrived > 0 && <Arrived count={arrived} begin={rows.begin} pages={pages} />}
      <div
        class="history-table"
        role="table"
        aria-label="Deployment history"
        aria-rowcount={total + 1}
        aria-colcount={7}
        ref={list}
        onKeyDown={onKeyDown}
        onFocusIn={(event) => setActive((before) => placeOf(event.target as HTMLElement) ?? before)}
      >
        <Head />
        <div role="rowgroup" class="rows" ref={rows.list} style={{ height: `${rows.height}px` }}>
          {rows.rows.map(({ index, place, top }) => {
            const row = pages.at(index);
            const isActive = activeIndex === undefined ? index === 0 : index === activeIndex;
            const shared = { index, place, top, isActive, measure: rows.measure };
            if (row === undefined) return <UnreadWholeRow key={place} {...shared} />;
            return (
              <HistoryRow
                key={place}
                {...shared}
                {...{ row, app, search, conversations, whyNot: whyNot(row), like: likeLive(row, app) }}
                right={rights?.roll_back}
                isFresh={index < arrived}
                {...{ isTicked: ticked.has(row), onTick: ticked.toggle }}
                rejected={rejectedAs(rejections, row)}
                offer={offerOn(row, user.value?.username, rights)}
                misfit={misfits?.find((each) => each.deployment_id === row.id)?.says}
              />
            );
          })}
        </div>
      </div>
    </>
  );
}

/** What the keys do with the active row. */
function useTableKeys(
  { app, pages, search, rights, ticked, onHelp }: Props,
  focus: (index: number, align?: "start") => void,
  activeIndex: number | undefined,
  whyNot: (row: Row) => string | undefined,
): (event: KeyboardEvent) => void {
  const { route } = useLocation();
  const addressOf = (row: Row, rest = "") => `/console/apps/${app.id}/history/${row.id}${rest}${search}`;
  return useKeys({
    focus: (step) => {
      if (step === "first" || step === "last") void goTo(pages, step === "first" ? "newest" : "oldest", focus);
      else focus((activeIndex ?? -1) + step);
    },
    open: (row) => route(addressOf(row)),
    rollBack: (row) => {
      if (!canComeBack(row))
        toast(`You cannot roll back to ${titleOf(row)}: only to a row that was live, and is not now.`, "bad");
      else if (whyNot(row)) toast(`You cannot roll back to ${titleOf(row)}: ${whyNot(row)}.`, "bad");
      else if (rights?.roll_back.allowed === false) toast(rights.roll_back.needs ?? "You may not roll back.", "bad");
      else route(addressOf(row, "/roll-back"));
    },
    review: (row) => {
      if (waitsOf(row)) route(addressOf(row, "/review"));
      else toast(`${titleOf(row)} waits for nothing.`, "bad");
    },
    toggle: ticked.toggle,
    compare: () => {
      if (ticked.rows.length < 2) return;
      const [a, b] = inOrder(ticked.rows);
      route(`/console/apps/${app.id}/compare?a=${a.id}&b=${b.id}`);
    },
    help: onHelp,
    lacks: () => toast("Choose a row first: j is the next one, k the one before.", "bad"),
    rowOf: () => (activeIndex === undefined ? undefined : pages.at(activeIndex)),
  });
}

/** The place of the row that an element is in. */
function placeOf(element: HTMLElement): number | undefined {
  const place = element.closest<HTMLElement>("[data-place]")?.dataset.place;
  return place === undefined ? undefined : Number(place);
}

const COLUMNS = ["Compare", "DETAILS", "STATUS", "CREATED BY", "RUNTIME", "DATE", "Actions"];

function Head() {
  return (
    <div role="rowgroup" class="head">
      <div role="row" class="row" aria-rowindex={1}>
        {COLUMNS.map((column) => (
          <span key={column} role="columnheader">
            {column === column.toUpperCase() ? column : <span class="hidden-label">{column}</span>}
          </span>
        ))}
      </div>
    </div>
  );
}

/** Gives the focus to the active row where that is wanted, and again where the browser took it because the row was moved in the page. */
function useFocusOn(list: RefObject<HTMLElement | null>, active: number | undefined, wanted: number): void {
  const hasIt = useRef(false);
  const given = useRef(wanted);
  useEffect(() => {
    const look = (event: FocusEvent) => {
      hasIt.current = list.current?.contains(event.target as Node) ?? false;
    };
    return listen("focusin", look, document);
  }, [list]);
  useLayoutEffect(() => {
    const isLost = hasIt.current && document.activeElement === document.body;
    if (active === undefined || (given.current === wanted && !isLost)) return;
    const row = list.current?.querySelector<HTMLElement>(`[data-place="${active}"]`);
    row?.focus({ preventScroll: true });
    if (row) given.current = wanted;
  });
}

/** Says that rows came in above what is being read. */
function Arrived({ count, begin, pages }: { count: number; begin: number; pages: HistoryPages }) {
  const isBelow = scrollY > begin;
  const isSeen = useRef(false);
  // Where the reader was when the last one came.
  useEffect(() => {
    isSeen.current = scrollY <= begin;
  }, [count]);
  useEffect(() => {
    const look = () => {
      if (scrollY <= begin || isSeen.current) pages.arrived.value = 0;
    };
    // At the top they are in sight: for as long as it takes to notice them, or until the reader goes on.
    const wait = setTimeout(look, 4_000);
    const end = listen("scroll", look, window, { passive: true });
    return () => {
      clearTimeout(wait);
      end();
    };
  }, [begin, pages]);
  const says = plural(count, "new deployment");
  return (
    <div class="arrived" role="status">
      {isBelow ? (
        <Action kind="primary" tiny onClick={() => scrollTo({ top: 0 })}>
          ↑ {says}
        </Action>
      ) : (
        <span class="hidden-label">{says}</span>
      )}
    </div>
  );
}

/** Another list begins at its top; a reader who comes back is taken to where they were. */
function useBegin(pages: HistoryPages, begin: number, forget: () => void): void {
  const before = useRef<HistoryPages | undefined>(undefined);
  useLayoutEffect(() => {
    const was = before.current;
    before.current = pages;
    const scroll = kept.scrollOf(pages);
    // The router goes to the top with a new screen, after this.
    if (scroll !== undefined) requestAnimationFrame(() => scrollTo(0, scroll));
    if (was === undefined || was === pages) return;
    forget();
    if (scrollY > begin) scrollTo(0, Math.max(begin - COVERED.wide, 0));
  });
}

function useIsWide(): boolean {
  const [is, set] = useState(WIDE.matches);
  useEffect(() => {
    return listen("change", () => set(WIDE.matches), WIDE);
  }, []);
  return is;
}

async function goTo(
  pages: HistoryPages,
  place: Place,
  focus: (index: number, align: "start") => void,
): Promise<string> {
  const total = pages.total.value ?? 0;
  if (place === "newest" || place === "oldest") {
    const end = place === "newest" ? 0 : total - 1;
    await pages.ensure(end);
    focus(end, "start");
    return "";
  }
  if ("before" in place) {
    const older = await pages.countBefore(place.before);
    const first = Math.min(total - older, total - 1);
    await pages.ensure(first);
    focus(first, "start");
    return older === 0 ? "No row here is so old: this is the oldest." : "";
  }
  const found = await findSequence(place.sequence, total, HistoryPages.size, async (page) =>
    (await pages.page(page)).map((row) => row.sequence),
  );
  if (found === undefined) return "There is no row.";
  await pages.ensure(found.index);
  focus(found.index, "start");
  return found.isExact ? "" : `#${place.sequence} is not among these rows: this is the nearest.`;
}
