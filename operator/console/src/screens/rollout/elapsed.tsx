import { useEffect, useState } from "preact/hooks";
import { duration } from "../../pure/time.ts";

/** How long it has gone on, told each second; not to screen readers, which would tell nothing else. */
export function Elapsed({ since }: { since: string }) {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return <span aria-hidden="true">{duration(Math.max(0, (now - Date.parse(since)) / 1000))} so far</span>;
}
