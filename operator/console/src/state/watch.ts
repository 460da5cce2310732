import { useEffect, useRef } from "preact/hooks";
import type { Ready } from "../api/awaited.ts";
import { type App, type Deployment, readApp } from "../api/read.ts";
import { update } from "./query.ts";

/** What a screen does when the cluster says that something happened. */
export interface Listeners {
  /** The App is different now. The query cache has it already. */
  onApp?: (app: App) => void;
  /** A row is new or different. */
  onDeployment?: (row: Deployment & { ready?: Ready | null }) => void;
  /** The App, or one of its rows, is gone; its id. */
  onRemoved?: (id: string) => void;
  /** Events may have been missed: read again what is shown. */
  onAgain?: () => void;
}

/** Tells a screen what happens to an App, as it happens. */
export function useAppEvents(appId: string, listeners: Listeners): void {
  const latest = useRef(listeners);
  latest.current = listeners;
  useEffect(() => {
    const stop = new AbortController();
    const poll = setInterval(async () => {
      if (document.hidden) return;
      const app = await readApp(appId, stop.signal).catch(() => undefined);
      if (app === undefined || stop.signal.aborted) return;
      update<App>(`app ${appId}`, () => app);
      latest.current.onApp?.(app);
      latest.current.onAgain?.();
    }, 2_000);
    return () => {
      clearInterval(poll);
      stop.abort();
    };
  }, [appId]);
}
