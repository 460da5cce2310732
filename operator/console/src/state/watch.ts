/** What happens in the cluster, told to the screens and to the query cache as it happens. */
import { useEffect, useRef } from "preact/hooks";
import { readApp } from "../api/read.ts";
import type { App, AppOfList, Deployment, Ready } from "../pure/shapes.ts";
import { listen } from "./feed.ts";
import { forget, refresh, update } from "./query.ts";
import { noteExpired } from "./session.ts";
import type { Source, Told } from "./stream.ts";

export type WatchedDeployment = Deployment & { ready?: Ready | null };

/** What a screen does when the cluster says that something happened. */
export interface Listeners {
  /** A row is new or different. */
  onDeployment?: (row: WatchedDeployment) => void;
  /** The App, or one of its rows, is gone; its id. */
  onRemoved?: (id: string) => void;
  /** Events may have been missed: read again what is shown. */
  onAgain?: () => void;
}

const APP_POLLED_EVERY = 2_000;
const LIST_POLLED_EVERY = 10_000;

/** Tells a screen what happens to an App and its rows. The cache's `app <id>` and lists of Apps are kept up to date by it. No id: nothing is heard. */
export function useAppEvents(appId: string | undefined, listeners: Listeners): void {
  const tell = useLatest((told: Told) => {
    if (appId === undefined) return;
    keep(appId, told);
    if (told.kind === "deployment") listeners.onDeployment?.(told.data as WatchedDeployment);
    if (told.kind === "removed") listeners.onRemoved?.((told.data as { id: string }).id);
    if (told.kind === "deleted") listeners.onRemoved?.(appId);
    if (told.kind === "again" || told.kind === "polled") listeners.onAgain?.();
  });
  useEffect(() => (appId === undefined ? undefined : listen(sourceOfApp(appId), tell)), [appId, tell]);
}

/** Keeps the list of a project's Apps up to date; without an id, of all projects. */
export function useProjectEvents(projectId: string): void {
  useEffect(() => listen(sourceOfProject(projectId), (told) => keepList(projectId, told)), [projectId]);
}

function sourceOfApp(id: string): Source {
  return {
    address: `/v1/apps/${id}/watch`,
    poll: async (abort) => [{ kind: "app", data: await readApp(id, abort) }, { kind: "polled" }],
    pollEvery: APP_POLLED_EVERY,
  };
}

function sourceOfProject(id: string): Source {
  const address = id ? `/v1/projects/${id}/watch` : "/v1/apps/watch";
  return { address, poll: async () => [{ kind: "again" }], pollEvery: LIST_POLLED_EVERY };
}

function keep(appId: string, told: Told): void {
  if (told.kind === "expired") noteExpired();
  if (told.kind === "again") refresh(`app ${appId}`);
  if (told.kind === "deleted") forget(`app ${appId}`);
  if (told.kind === "app") keepApp(told.data as App);
}

function keepApp(app: App): void {
  update<App>(`app ${app.id}`, () => app);
  update<AppOfList[]>("apps ", (before) => withApp(before, app));
  update<AppOfList[]>(`apps ${app.project_id}`, (before) => withApp(before, app));
}

function keepList(projectId: string, told: Told): void {
  const key = `apps ${projectId}`;
  if (told.kind === "expired") noteExpired();
  if (told.kind === "again") refresh(key);
  if (told.kind === "deleted") forget(key);
  if (told.kind === "app") {
    const app = told.data as App;
    update<App>(`app ${app.id}`, (before) => ({ ...before, ...app }));
    update<AppOfList[]>(key, (before) => withApp(before, app, true));
  }
  if (told.kind === "removed") {
    const { id } = told.data as { id: string };
    update<AppOfList[]>(key, (before) => before.filter((each) => each.id !== id));
  }
}

/** A list in which an App is as it is now. `adds`: also where it was not in it. */
function withApp(list: AppOfList[], app: AppOfList, adds = false): AppOfList[] {
  if (list.some((each) => each.id === app.id)) return list.map((each) => (each.id === app.id ? app : each));
  return adds ? [app, ...list] : list;
}

/** A function that stays the same one and does what the last rendering said. */
function useLatest<A extends unknown[]>(does: (...given: A) => void): (...given: A) => void {
  const latest = useRef(does);
  latest.current = does;
  return useRef((...given: A) => latest.current(...given)).current;
}
