import { useEffect, useLayoutEffect, useReducer, useRef } from "preact/hooks";
import { Heights, scrollFor } from "../pure/heights.ts";

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

export interface WindowRow {
  index: number;
  /** Counted from the last row: it stays with a row when others come in at the top. */
  place: number;
  /** From the top of the list, in pixels. */
  top: number;
}

export interface WindowRows {
  /** For the element that holds the rows: as high as all of them. */
  list: { current: HTMLDivElement | null };
  /** For each row; it has to have `data-place`. */
  measure: (element: HTMLElement | null) => void;
  rows: WindowRow[];
  height: number;
  /** Where the list begins in the page. */
  begin: number;
  /** The indexes that are in the window. */
  first: number;
  last: number;
  scrollTo: (index: number, align: "auto" | "start") => void;
}

/** Rows that are rendered beyond the window, on either side. */
const BEYOND = 6;
/** How long a row that was scrolled to is kept in its place while others around it are measured. */
const HELD_FOR = 1_000;
const INPUTS = ["wheel", "touchstart", "pointerdown", "keydown"];

/**
 * Rows of a long list of which only those in the window are rendered; the window itself scrolls, and rows may be of any height. Rows
 * that come in at the top, or are measured above the window, do not move what is read.
 */
export function useWindowRows({ of, count, estimate, keep, covered }: Options): WindowRows {
  const [, redraw] = useReducer((times: number) => times + 1, 0);
  const list = useRef<HTMLDivElement | null>(null);
  const state = useRef<State | undefined>(undefined);
  const before = state.current;
  const kept =
    before?.of === of && before?.estimate === estimate ? before : new State(of, count, estimate, before?.begin ?? 0);
  state.current = kept;
  kept.covered = covered;
  kept.grow(count);
  const observer = useRef<ResizeObserver | undefined>(undefined);
  const measure = useRef((element: HTMLElement | null) => {
    observer.current ??= new ResizeObserver((entries) => {
      if (state.current?.measure(entries)) redraw(undefined);
    });
    if (element) observer.current.observe(element);
  });

  useEffect(() => {
    const look = () => {
      const { current } = state;
      if (!current || !list.current) return;
      const begin = Math.round(list.current.getBoundingClientRect().top + scrollY);
      if (current.look(begin)) redraw(undefined);
    };
    const release = () => state.current?.release();
    const around = new ResizeObserver(look);
    around.observe(document.body);
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look, { passive: true });
    for (const input of INPUTS) addEventListener(input, release, { passive: true, capture: true });
    look();
    return () => {
      around.disconnect();
      observer.current?.disconnect();
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
      for (const input of INPUTS) removeEventListener(input, release, { capture: true });
    };
  }, []);
  // An observer tells of a row that is rendered already only when its size changes: what was forgotten is asked for anew.
  useLayoutEffect(() => {
    const { current } = observer;
    if (!current || !list.current) return;
    current.disconnect();
    for (const row of list.current.querySelectorAll("[data-place]")) current.observe(row);
  }, [kept]);
  useLayoutEffect(() => kept.settle());

  const { first, last } = kept.range();
  const indexes: number[] = [];
  for (let index = Math.max(first - BEYOND, 0); index <= Math.min(last + BEYOND, count - 1); index += 1) {
    indexes.push(index);
  }
  if (keep !== undefined && keep < (indexes[0] ?? 0)) indexes.unshift(keep);
  else if (keep !== undefined && keep < count && keep > (indexes.at(-1) ?? -1)) indexes.push(keep);
  return {
    list,
    measure: measure.current,
    rows: indexes.map((index) => ({ index, place: count - 1 - index, top: kept.heights.topOf(index) })),
    height: kept.heights.total,
    begin: kept.begin,
    first,
    last,
    scrollTo: (index, align) => kept.hold(count - 1 - index, align),
  };
}

/** What the list knows of its rows and of the window, and what has to be scrolled once it is drawn. */
class State {
  readonly heights: Heights;
  covered = 0;
  private due = 0;
  private held: { place: number; align: "auto" | "start"; until: number } | undefined;
  private seen = "";

  constructor(
    readonly of: unknown,
    private count: number,
    readonly estimate: number,
    public begin: number,
  ) {
    this.heights = new Heights(count, estimate);
  }

  /** The rows in the window. */
  range(): { first: number; last: number } {
    const top = scrollY - this.begin;
    return { first: this.heights.indexAt(top), last: this.heights.indexAt(top + innerHeight) };
  }

  /** Rows came in at the top, or went. */
  grow(count: number): void {
    const added = count - this.count;
    if (added === 0) return;
    this.count = count;
    this.heights.resize(count);
    if (added > 0 && scrollY > this.begin) this.due += this.heights.topOf(added);
  }

  /** Whether what is in the window is different now. */
  look(begin: number): boolean {
    this.begin = begin;
    const { first, last } = this.range();
    const now = `${begin} ${first} ${last}`;
    if (now === this.seen) return false;
    this.seen = now;
    return true;
  }

  /** Whether a row has another height than it was taken for. */
  measure(entries: ResizeObserverEntry[]): boolean {
    const edge = this.heights.indexAt(scrollY - this.begin + this.covered);
    let isOther = false;
    for (const { target, borderBoxSize } of entries) {
      const place = Number((target as HTMLElement).dataset.place);
      const height = borderBoxSize[0]?.blockSize ?? 0;
      if (!target.isConnected || height === 0) continue;
      const more = this.heights.set(place, height);
      if (more === 0) continue;
      isOther = true;
      if (this.count - 1 - place < edge) this.due += more;
    }
    return isOther;
  }

  /** Scrolls to a row, and holds it there until it and those around it were read and measured. */
  hold(place: number, align: "auto" | "start"): void {
    this.held = { place, align, until: performance.now() + HELD_FOR };
    this.settle();
  }

  /** The reader moves by themselves. */
  release(): void {
    this.held = undefined;
  }

  /** Scrolls by what is due, once the list is drawn as high as it is. */
  settle(): void {
    const { due, held } = this;
    this.due = 0;
    if (held && performance.now() < held.until) {
      const index = this.count - 1 - held.place;
      const top = this.heights.topOf(index);
      const row = { top: this.begin + top, height: this.heights.topOf(index + 1) - top };
      const to = scrollFor(row, { scroll: scrollY, height: innerHeight, covered: this.covered }, held.align);
      if (Math.abs(to - scrollY) >= 1) scrollTo(0, to);
    } else if (Math.abs(due) >= 1) scrollBy(0, due);
  }
}
