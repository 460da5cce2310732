import type { RefObject } from "preact";
import { useCallback, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { listen } from "../state/listen.ts";

interface Options {
  /** What the rows are of: with another one, all that was measured is forgotten. */
  of: unknown;
  count: number;
  /** The place of the last row, where others come in below it: lower by each of them. */
  last?: number;
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

interface Held {
  place: number;
  align: "auto" | "start";
  until: number;
}

interface Refs {
  list: RefObject<HTMLDivElement | null>;
  held: RefObject<Held | undefined>;
  heights: RefObject<Heights>;
  moved: RefObject<number>;
  latest: RefObject<{ begin: number; covered: number; first: number }>;
  watch: RefObject<ResizeObserver | undefined>;
}

type Redraw = (again: undefined) => void;

/** What is known of the rows of one list. */
class Heights {
  /** By place: it stays with a row when others come in at the top, where the last one has the same place, or below, where it has a lower one. */
  readonly measured = new Map<number, number>();
  /** Where each row begins, in pixels from the top of the list, and where the last one ends. */
  tops = new Float64Array(1);
  #last = 0;

  constructor(
    readonly of: unknown,
    readonly estimate: number,
  ) {}

  get count(): number {
    return this.tops.length - 1;
  }

  get whole(): number {
    return this.tops[this.count] as number;
  }

  lay(count = this.count, last = this.#last): void {
    this.#last = last;
    this.tops = new Float64Array(count + 1);
    for (let index = 0; index < count; index += 1) {
      this.tops[index + 1] = (this.tops[index] as number) + (this.measured.get(this.other(index)) ?? this.estimate);
    }
  }

  /** The place of an index, and the index of a place. */
  other(either: number): number {
    return this.#last + this.count - 1 - either;
  }

  /** The row at so many pixels from the top of the list. */
  at(pixels: number): number {
    const next = this.tops.findIndex((top) => top > pixels);
    return Math.max(next < 0 ? this.count - 1 : next - 1, 0);
  }
}

/**
 * Rows of a long list of which only those in the window are rendered; the window itself scrolls, and rows may be of any height. Rows
 * that come in at the top, or are measured above the window, do not move what is read. A row has to have `data-place`.
 */
export function useWindowRows({ of, count, last = 0, estimate, keep, covered }: Options) {
  const [, redraw] = useReducer((times: number) => times + 1, 0);
  const [begin, setBegin] = useState(0);
  const list = useRef<HTMLDivElement | null>(null);
  const held = useRef<Held | undefined>(undefined);
  const heights = useRef(new Heights(undefined, estimate));
  /** By how much the window has to scroll, so that what is read stays where it is. */
  const moved = useRef(0);
  const latest = useRef({ begin, covered, first: 0 });
  const watch = useRef<ResizeObserver | undefined>(undefined);
  const refs = { list, held, heights, moved, latest, watch };

  let all = heights.current;
  if (all.of !== of || all.estimate !== estimate) {
    // It begins anew with other rows, and with rows of another height.
    all = new Heights(of, estimate);
    heights.current = all;
    all.lay(count, last);
  } else if (all.count !== count) {
    const first = all.other(0);
    all.lay(count, last);
    // What is read stays where it is when rows come in above it; at the top they are to be seen.
    if (scrollY > begin) moved.current += all.tops[Math.max(all.other(first), 0)] ?? 0;
  }

  watch.current ??= observer(refs, redraw);
  const measure = useCallback((row: HTMLElement | null) => {
    if (row) watch.current?.observe(row);
  }, []);

  useLayoutEffect(() => watchWindow(refs, setBegin, redraw), []);
  useLayoutEffect(() => {
    const by = moved.current;
    moved.current = 0;
    const { current } = held;
    if (current && performance.now() < current.until) {
      const index = all.other(current.place);
      const top = begin + (all.tops[index] ?? 0);
      const bottom = begin + (all.tops[index + 1] ?? 0);
      const isAbove = current.align === "start" || bottom - top > innerHeight - covered || top < scrollY + covered;
      if (isAbove) scrollTo(0, top - covered);
      else if (bottom > scrollY + innerHeight) scrollTo(0, bottom - innerHeight);
    } else if (by) scrollTo(0, scrollY + by);
  });

  // Where the window will be once what came in above is made up for.
  const from = scrollY + moved.current - begin;
  const first = all.at(from);
  const final = all.at(from + innerHeight);
  latest.current = { begin, covered, first };
  const indexes = new Set<number>();
  for (let index = Math.max(first - BEYOND, 0); index <= Math.min(final + BEYOND, count - 1); index += 1) {
    indexes.add(index);
  }
  if (keep !== undefined && keep < count) indexes.add(keep);
  return {
    /** For the element that holds the rows: as high as all of them. */
    list,
    /** For each row. */
    measure,
    /** Those to render; `top` is from the top of the list, in pixels. */
    rows: [...indexes]
      .sort((one, other) => one - other)
      .map((index) => ({ index, place: all.other(index), top: all.tops[index] as number })),
    height: all.whole,
    /** Where the list begins in the page. */
    begin,
    /** The indexes that are in the window. */
    first,
    last: final,
    scrollTo: (index: number, align: "auto" | "start") => {
      held.current = { place: all.other(index), align, until: performance.now() + HELD_FOR };
      redraw(undefined);
    },
  };
}

/** Measures the rows that it is given. */
function observer({ heights, moved, latest }: Refs, redraw: Redraw): ResizeObserver {
  return new ResizeObserver((entries) => {
    const known = heights.current;
    const isAbove = scrollY - latest.current.begin + latest.current.covered + 1;
    let isOther = false;
    for (const { target } of entries) {
      const place = Number((target as HTMLElement).dataset.place);
      // A part of a pixel less, and the next row would lie over the line below this one.
      const height = Math.ceil(target.getBoundingClientRect().height);
      const before = known.measured.get(place) ?? known.estimate;
      // A row that is not laid out, as on paper, is as high as it was.
      if (!height || !target.isConnected) continue;
      known.measured.set(place, height);
      if (height === before) continue;
      isOther = true;
      if ((known.tops[known.other(place) + 1] as number) <= isAbove) moved.current += height - before;
    }
    if (!isOther) return;
    known.lay();
    redraw(undefined);
  });
}

/** Follows where the list is, and where the reader goes. Returns what ends it. */
function watchWindow(
  { list, held, heights, latest, watch }: Refs,
  setBegin: (begin: number) => void,
  redraw: Redraw,
): () => void {
  const look = () => {
    if (list.current) setBegin(Math.round(list.current.getBoundingClientRect().top + scrollY));
  };
  const release = () => {
    held.current = undefined;
  };
  const draw = () => redraw(undefined);
  const scrolled = () => {
    if (heights.current.at(scrollY - latest.current.begin) !== latest.current.first) draw();
  };
  const around = new ResizeObserver(look);
  around.observe(document.body);
  const ends = [
    listen("wheel touchstart pointerdown keydown", release, window, { passive: true, capture: true }),
    listen("scroll", scrolled, window, { passive: true }),
    listen("resize", draw),
  ];
  look();
  return () => {
    around.disconnect();
    watch.current?.disconnect();
    for (const end of ends) end();
  };
}
