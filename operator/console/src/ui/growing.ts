import { useEffect, useState } from "preact/hooks";

const AT_ONCE = 80;
const EACH = 250;

/** How many of `total` rows to draw by now: what is seen at once, and the others while the browser has nothing else to do. `of`: begins anew where it changes. */
export function useGrowing(total: number, of: string): number {
  const [drawn, setDrawn] = useState({ of, count: AT_ONCE });
  const count = drawn.of === of ? drawn.count : AT_ONCE;
  useEffect(() => {
    if (count >= total) return;
    const more = () => setDrawn({ of, count: count + EACH });
    const timer = setTimeout(() => requestAnimationFrame(more), 30);
    return () => clearTimeout(timer);
  }, [count, total, of]);
  return Math.min(count, total);
}
