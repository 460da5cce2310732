import {
  defaultRangeExtractor,
  measureElement,
  observeWindowOffset,
  observeWindowRect,
  Virtualizer,
  type VirtualizerOptions,
  windowScroll,
} from "@tanstack/virtual-core";
import { useCallback, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";

interface Options {
  /** What the rows are of: with another one, all that was measured is forgotten. */
  of: unknown;
  count: number;
  /** Height of a row that was not measured yet, in pixels. */
  estimate: number;
  /** An index that stays rendered wherever the reader is: the row that has the focus. */
  keep: number | undefined;
  /** Height of what covers the top of the window. */
  covered: number;
}

/** Rows that are rendered beyond the window, on either side. */
const BEYOND = 6;
/** How long a row that was scrolled to is kept in its place while others around it are read and measured. */
const HELD_FOR = 1_000;
const INPUTS = ["wheel", "touchstart", "pointerdown", "keydown"];

/**
 * Rows of a long list of which only those in the window are rendered; the window itself scrolls, and rows may be of any height. Rows
 * that come in at the top, or are measured above the window, do not move what is read. A row has to have `data-index`.
 */
export function useWindowRows({ of, count, estimate, keep, covered }: Options) {
  const [, redraw] = useReducer((times: number) => times + 1, 0);
  const [begin, setBegin] = useState(0);
  const list = useRef<HTMLDivElement | null>(null);
  const held = useRef<{ place: number; align: "auto" | "start"; until: number } | undefined>(undefined);
  // Counted from the last row: it stays with a row when others come in at the top.
  const placeOf = useCallback((index: number) => count - 1 - index, [count]);
  const optionsAfter = (before: number): VirtualizerOptions<Window, HTMLElement> => ({
    count,
    getItemKey: placeOf,
    estimateSize: () => estimate,
    overscan: BEYOND,
    scrollMargin: begin,
    scrollPaddingStart: covered,
    // What is read stays where it is when rows come in above it; at the top they are to be seen.
    anchorTo: count > before && scrollY > begin ? "end" : "start",
    initialOffset: () => scrollY,
    initialRect: { width: innerWidth, height: innerHeight },
    getScrollElement: () => window,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    // A row that is not laid out, as on paper, is as high as it was.
    measureElement: (row, entry, all) =>
      measureElement(row, entry, all) || (all.measurementsCache[all.indexFromElement(row)]?.size ?? estimate),
    rangeExtractor: (range) => {
      const indexes = new Set(defaultRangeExtractor(range)).add(keep ?? range.startIndex);
      return [...indexes].sort((one, other) => one - other);
    },
    onChange: () => redraw(undefined),
  });
  // It begins anew with other rows, and with rows of another height.
  const all = useMemo(() => new Virtualizer(optionsAfter(count)), [of, estimate]);
  all.setOptions(optionsAfter(all.options.count));
  all.shouldAdjustScrollPositionOnItemSizeChange = ({ end }) => end <= (all.scrollOffset ?? 0) + covered + 1;

  useLayoutEffect(() => {
    const look = () => {
      if (list.current) setBegin(Math.round(list.current.getBoundingClientRect().top + scrollY));
    };
    const release = () => {
      held.current = undefined;
    };
    const around = new ResizeObserver(look);
    around.observe(document.body);
    for (const input of INPUTS) addEventListener(input, release, { passive: true, capture: true });
    look();
    return () => {
      around.disconnect();
      for (const input of INPUTS) removeEventListener(input, release, { capture: true });
    };
  }, []);
  useLayoutEffect(() => all._didMount(), [all]);
  useLayoutEffect(() => {
    all._willUpdate();
    if (!held.current || performance.now() > held.current.until) return;
    const index = placeOf(held.current.place);
    const isHigher = (all.measurementsCache[index]?.size ?? 0) > innerHeight - covered;
    all.scrollToIndex(index, { align: isHigher ? "start" : held.current.align });
  });

  const rows = all.getVirtualItems().map(({ index, start }) => ({ index, place: placeOf(index), top: start - begin }));
  return {
    /** For the element that holds the rows: as high as all of them. */
    list,
    /** For each row. */
    measure: all.measureElement,
    /** Those to render; `top` is from the top of the list, in pixels. */
    rows,
    height: all.getTotalSize(),
    /** Where the list begins in the page. */
    begin,
    /** The indexes that are in the window. */
    first: all.range?.startIndex ?? 0,
    last: all.range?.endIndex ?? 0,
    scrollTo: (index: number, align: "auto" | "start") => {
      held.current = { place: placeOf(index), align, until: performance.now() + HELD_FOR };
      redraw(undefined);
    },
  };
}
