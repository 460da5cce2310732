/** Where the reader is, by the address: links of the console and `route` change it without loading a page. */
import { type ComponentChildren, createContext } from "preact";
import { useContext, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

interface Place {
  /** Path and query. */
  url: string;
  /** Without a slash at its end. */
  path: string;
  query: Record<string, string>;
  /** Whether the reader went on to it, and did not come back to it. */
  wasPush: boolean;
  route: (url: string, replaces?: boolean) => void;
}

const SCOPE = "/console";
const Here = createContext({} as Place);

export const useLocation = (): Place => useContext(Here);

const shown = () => location.pathname + location.search;

export function LocationProvider({ children }: { children: ComponentChildren }) {
  const [{ url, wasPush }, go] = useState({ url: shown(), wasPush: false });
  const latest = useRef(url);
  latest.current = url;
  const place = useMemo(() => {
    const { pathname, searchParams } = new URL(url, location.origin);
    const route = (to: string, replaces = false) => {
      if (replaces) history.replaceState(null, "", to);
      else history.pushState(null, "", to);
      if (to !== latest.current) go({ url: to, wasPush: !replaces });
    };
    return { url, path: pathname.replace(/\/+$/, "") || "/", query: Object.fromEntries(searchParams), wasPush, route };
  }, [url]);
  const { route } = place;
  useLayoutEffect(() => {
    const click = (event: MouseEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.button !== 0) return;
      const link = event.composedPath().find((each) => (each as Element).nodeName === "A") as HTMLAnchorElement;
      const href = link?.getAttribute("href");
      if (!href || link.origin !== location.origin || !href.startsWith(SCOPE) || link.target || link.download) return;
      event.preventDefault();
      route(link.href.replace(location.origin, ""));
    };
    const back = () => {
      if (shown() !== latest.current) go({ url: shown(), wasPush: false });
    };
    addEventListener("click", click);
    addEventListener("popstate", back);
    return () => {
      removeEventListener("click", click);
      removeEventListener("popstate", back);
    };
  }, []);
  return <Here.Provider value={place}>{children}</Here.Provider>;
}

/** Begins each new path at its top; whoever goes back is left where they were. */
export function useTop(): void {
  const { path, wasPush } = useLocation();
  const before = useRef(path);
  useLayoutEffect(() => {
    if (before.current !== path && wasPush) scrollTo(0, 0);
    before.current = path;
  }, [path]);
}
