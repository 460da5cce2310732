/** Where the marks of a chart lie. Pure. */

export interface Point {
  at: number;
  value: number | null;
}

/** Milliseconds. */
export const STEPS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
export type Interval = keyof typeof STEPS;

/** The beginnings of all intervals in a time, in milliseconds since 1970: those without a run, too. */
export function moments(since: string, until: string, interval: Interval): number[] {
  const step = STEPS[interval];
  const found: number[] = [];
  for (let at = Math.floor(Date.parse(since) / step) * step; at < Date.parse(until); at += step) found.push(at);
  return found;
}

/** How many of them have ended: what the last one comes to is not known where it is still going on. */
export function ended(moments: readonly number[], until: number): number {
  const [first = until, second = until] = moments;
  return moments.filter((at) => at + second - first <= until).length;
}

/** Round numbers from 0 to `most` or above it, at most five. */
export function ticks(most: number): number[] {
  if (!(most > 0)) return [0, 1];
  const rough = most / 4;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5].find((each) => each * size >= rough) ?? 10) * size;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, each) => each * step);
}

/** The line through points, with a gap where there is no value: a path of SVG. */
export function line(points: readonly Point[], x: (at: number) => number, y: (value: number) => number): string {
  let path = "";
  let isDown = false;
  for (const { at, value } of points) {
    if (value !== null) path += `${isDown ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    isDown = value !== null;
  }
  return path;
}

/** Of a row of labels the indexes of those that have `room` pixels to the one before. */
export function readable(places: readonly number[], room: number): number[] {
  let last = Number.NEGATIVE_INFINITY;
  return places.flatMap((place, index) => {
    if (place - last < room) return [];
    last = place;
    return [index];
  });
}

/** Marks that have one label, because there is no room for one each. */
export interface Labelled<M> {
  marks: M[];
  /** The middle of the label, in pixels. */
  x: number;
}

/**
 * Labels of marks, which are in the order of their places: where labels would lie over each other, or over an edge, their marks have one.
 * `wide`: how wide the label of some marks is; `whole`: how wide the chart is; in pixels.
 */
export function labelled<M extends { x: number }>(
  marks: readonly M[],
  wide: (marks: readonly M[]) => number,
  whole: number,
): Labelled<M>[] {
  const labels: (Labelled<M> & { left: number; right: number })[] = [];
  const labelOf = (of: M[]) => {
    const [first, last] = [of[0] as M, of.at(-1) as M];
    const half = wide(of) / 2;
    const x = Math.max(half, Math.min((first.x + last.x) / 2, whole - half));
    return { marks: of, x, left: x - half, right: x + half };
  };
  for (const mark of marks) {
    let label = labelOf([mark]);
    // A label of several is wider than theirs, so the one before it may have no room either.
    for (let before = labels.at(-1); before && before.right > label.left; before = labels.at(-1)) {
      labels.pop();
      label = labelOf([...before.marks, ...label.marks]);
    }
    labels.push(label);
  }
  return labels;
}
