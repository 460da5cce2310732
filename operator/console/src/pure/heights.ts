/** Where the rows of a long list lie, of which only those were measured that have been in sight. Pure. */

/**
 * Heights of rows by their place, which is counted from the last row on: rows that come in at the top change no place. An index is
 * counted from the top.
 */
export class Heights {
  private readonly measured = new Map<number, number>();
  private tops = new Float64Array(1);
  private isOld = true;

  constructor(
    private count: number,
    /** Height of a row that was not measured. */
    private readonly estimate: number,
  ) {}

  /** How many rows there are now. */
  resize(count: number): void {
    if (count === this.count) return;
    this.count = count;
    this.isOld = true;
  }

  /** What a row was measured to be. Returns by how much it is higher than it was taken for. */
  set(place: number, height: number): number {
    const before = this.measured.get(place) ?? this.estimate;
    this.measured.set(place, height);
    if (before === height) return 0;
    this.isOld = true;
    return height - before;
  }

  get total(): number {
    return this.topOf(this.count);
  }

  /** Where a row begins; of the index after the last, where the list ends. */
  topOf(index: number): number {
    return this.current()[Math.max(0, Math.min(index, this.count))] as number;
  }

  /** The row at a distance from the top; the first or the last where there is none. */
  indexAt(distance: number): number {
    const tops = this.current();
    let low = 0;
    let high = Math.max(this.count - 1, 0);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((tops[middle] as number) <= distance) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private current(): Float64Array {
    if (this.isOld) {
      this.tops = new Float64Array(this.count + 1);
      for (let index = 0; index < this.count; index += 1) {
        const height = this.measured.get(this.count - 1 - index) ?? this.estimate;
        this.tops[index + 1] = (this.tops[index] as number) + height;
      }
      this.isOld = false;
    }
    return this.tops;
  }
}

/** How far the window is to be scrolled for a row to be in sight: between what covers its top and its end. `auto`: as little as it takes. */
export function scrollFor(
  row: { top: number; height: number },
  window: { scroll: number; height: number; covered: number },
  align: "auto" | "start",
): number {
  const atTop = Math.max(row.top - window.covered, 0);
  if (align === "start" || row.height > window.height - window.covered) return atTop;
  const atEnd = row.top + row.height - window.height;
  if (window.scroll > atTop) return atTop;
  return Math.max(window.scroll, atEnd);
}
