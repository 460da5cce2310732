/** Shows the console in a DOM, over answers that a test gives, and what a reader does with it. */
import { cleanup, configure, render, screen, waitFor, within } from "@testing-library/preact";
import { type UserEvent, userEvent } from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, type Mock, vi } from "vitest";
import "../src/state/keeper.ts";
import { App } from "../src/app.tsx";
import { rest } from "../src/screens/parts.ts";
import { connection } from "../src/state/connection.ts";
import { refresh } from "../src/state/query.ts";
import { isExpired, session } from "../src/state/session.ts";
import { Api } from "./api.ts";
import { type Answers, usual } from "./cast.ts";

/** Milliseconds until something that does not come counts as missing: other programs use the machine, too. */
const COMES_WITHIN = 120_000;
configure({
  asyncUtilTimeout: COMES_WITHIN,
  defaultHidden: true,
  getElementError: (message) => new Error(`${message}\n${textOf(document.body)}`),
});

vi.stubGlobal("fetch", (...given: Parameters<Api["fetch"]>) => api.fetch(...given));
// Of a browser's locks each is free: this is its only tab.
const hold = (...given: unknown[]) => Promise.resolve((given.at(-1) as (lock: object) => unknown)({}));
Object.defineProperty(navigator, "locks", { value: { request: hold, query: async () => ({}) } });

// A browser tells that a dialog was closed a moment later: of one that is gone by then nobody hears.
HTMLDialogElement.prototype.close = function close() {
  if (!this.open) return;
  this.open = false;
  setTimeout(() => this.dispatchEvent(new Event("close")));
};

/** What is answered, and who does something. */
export let api: Api;
export let user: UserEvent;

/** Shows the console at an address, over the usual answers and these. */
export function show(path: string, ...tables: Answers[]): Promise<void> {
  api = new Api(Object.assign(usual(), ...tables));
  user = userEvent.setup({ delay: null });
  history.replaceState(null, "", path);
  return rest.load().then(() => void render(<App />));
}

/** Takes what is shown away: a test shows something else. */
export function leave(): void {
  history.replaceState(null, "", "/console/elsewhere");
  cleanup();
  document.body.replaceChildren();
}

afterEach(async () => {
  // A form that is left at another address keeps nothing.
  history.replaceState(null, "", "/console/elsewhere");
  cleanup();
  // What an effect has begun is ended once the page would have been painted.
  await painted();
  session.value = undefined;
  isExpired.value = false;
  connection.value = "online";
  refresh();
  document.body.replaceChildren();
  expect(api.surprises).toEqual([]);
});

type Where = HTMLElement;
type Name = string | RegExp;
const exactly = (name: Name) => (typeof name === "string" ? new RegExp(`^${RegExp.escape(name)}( \\(|:|$)`) : name);

/** What is there by its role and name: a name is whole, but for what a button says of why it does nothing. */
export const find = async (role: string, name?: Name, where: Where = document.body): Promise<HTMLElement> =>
  (await within(where).findAllByRole(role, name === undefined ? {} : { name: exactly(name) }))[0] as HTMLElement;
export const isThere = (role: string, name?: Name, where: Where = document.body): boolean =>
  within(where).queryAllByRole(role, name === undefined ? {} : { name: exactly(name) }).length > 0;
export const button = (name: Name, where?: Where) => find("button", name, where);
export const link = (name: Name, where?: Where) => find("link", name, where);
export const region = (name: Name, where?: Where) => find("region", name, where);
export const dialog = (title?: Name) => find("dialog", title);
export const field = (label: Name, where: Where = document.body): Promise<HTMLInputElement> =>
  within(where).findByLabelText(label, typeof label === "string" ? { exact: true } : {});

export const withinAll = (label: Name, where: Where) => within(where).findAllByLabelText(label);

/** Presses the button, link or choice of a name. */
export async function press(name: Name, where: Where = document.body): Promise<void> {
  const named = { name: exactly(name) };
  const found = await waitFor(() => {
    for (const role of ["button", "link", "radio", "checkbox", "tab"]) {
      const [one] = within(where).queryAllByRole(role, named);
      if (one) return one;
    }
    throw new Error(
      `there is nothing to press that is named ${name} in ${within(where).queryAllByRole("button").map(textOf)}`,
    );
  });
  await user.click(found);
}

/** Writes into a field, in the place of what it holds. */
export async function write(label: Name, text: string, where?: Where): Promise<HTMLInputElement> {
  const found = await field(label, where);
  await user.clear(found);
  if (text) await user.type(found, text.replace(/[[{]/g, "$&$&"));
  return found;
}

/** Chooses an option by a part of its text. */
export async function choose(label: Name, option: string, where?: Where): Promise<void> {
  const found = (await field(label, where)) as unknown as HTMLSelectElement;
  await user.selectOptions(
    found,
    await waitFor(() => {
      const one = [...found.options].find((each) => each.text.includes(option));
      if (!one) throw new Error(`${label} has no ${option}: ${[...found.options].map((each) => each.text)}`);
      return one;
    }),
  );
}

/** What has a text of its own. */
export const text = (says: Name, where: Where = document.body) => within(where).findByText(says);
/** What was sent last by a call that is no read and no preview. */
export const sent = (): unknown => api.calls().at(-1)?.body;
export const optionsOf = (select: HTMLElement): string[] =>
  [...(select as HTMLSelectElement).options].map((option) => option.text);
/** The text of the option that is chosen. */
export const chosen = (select: HTMLElement): string => (select as HTMLSelectElement).selectedOptions[0]?.text ?? "";
export const textOf = (element: Element): string => (element.textContent ?? "").replace(/\s+/g, " ").trim();

/** Waits until something says a text. */
export const says = (text: Name, where: Where = document.body) =>
  waitFor(() => expect(textOf(where)).toMatch(typeof text === "string" ? new RegExp(RegExp.escape(text)) : text));
/** Waits until nothing says it any more. */
export const saysNot = (text: string, where: Where = document.body) =>
  waitFor(() => expect(textOf(where)).not.toContain(text));
/** Waits until nothing is being read or previewed. */
export async function settled(): Promise<void> {
  await waitFor(async () => {
    await new Promise((done) => setTimeout(done, 5));
    expect(api.pending).toBe(0);
    expect(document.querySelectorAll("[aria-busy=true], .skeleton")).toHaveLength(0);
  });
}
/** Waits until a condition is true. */
export const until = (is: () => unknown) => waitFor(() => expect(is()).toBeTruthy());
export const has = (element: Element, attribute: string, value: string | null = "true") =>
  waitFor(() => expect(element.getAttribute(attribute)).toBe(value));
export const isFocused = (element: Element) => until(() => document.activeElement === element);
export const isAt = (url: string | RegExp) =>
  waitFor(() =>
    expect(location.pathname + location.search).toMatch(
      typeof url === "string" ? new RegExp(`^${RegExp.escape(url)}$`) : url,
    ),
  );
/** What an element is described by. */
export const describes = (element: Element): string =>
  (element.getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => document.getElementById(id)?.textContent ?? "")
    .concat(element.getAttribute("title") ?? "")
    .join(" ")
    .trim();

/** Waits for what the page does after it would have been painted. */
export const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

/** Closes the dialog on top, as Escape does in a browser. */
export async function pressEscape(): Promise<void> {
  await painted();
  const top = [...document.querySelectorAll("dialog[open]")].at(-1);
  top?.dispatchEvent(new Event("cancel", { cancelable: true }));
}

/** The network is gone, and back: all that is shown is read again. */
export async function returned(): Promise<void> {
  dispatchEvent(new Event("offline"));
  dispatchEvent(new Event("online"));
  await until(() => connection.value === "online");
}

/** Takes the place of the window that a page opens. */
export function opensWindows(): Mock {
  const opens = vi.fn();
  vi.stubGlobal("open", opens);
  window.open = opens;
  return opens;
}

/** Somebody signs in again in a second window. */
export function signedInAgain(): void {
  const other = new BroadcastChannel("dynamiq-session");
  other.postMessage("in");
  other.close();
}

/** The alert that says something. Throws where there is none. */
export function alertWith(text: string, where: Where = document.body): HTMLElement {
  const found = within(where)
    .queryAllByRole("alert")
    .find((each) => textOf(each).includes(text));
  if (!found) throw new Error(`no alert says ${text}: ${textOf(where)}`);
  return found;
}

/** What axe finds of the page but for what needs a layout. */
export async function findings(): Promise<string[]> {
  const { violations } = await axe.run(document.body, {
    resultTypes: ["violations"],
    rules: { region: { enabled: false } },
  });
  return violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 200))}`);
}

export { screen, waitFor, within };
