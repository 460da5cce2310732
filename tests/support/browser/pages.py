"""Opens pages of the console in a browser and watches each: refusals of its policy, failures of its scripts, and its requests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, expect

from local import console_build
from tests.support.browser import names
from tests.support.waiting import eventually

ORIGIN = f"https://{names.CONSOLE}"
WAITS = 120_000.0
"""Milliseconds: other suites use the machine, too, which may pause for seconds. A page may need several polls of its own."""

ANSWERED = "(path) => performance.getEntriesByType('resource').filter(({ name }) => new URL(name).pathname === path).length"
"""Counts the answers of a path."""
GO_ON = """async (to) => {
  history.pushState(null, "", to);
  dispatchEvent(new PopStateEvent("popstate"));
  await new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)));
}"""
LOADING = "[aria-busy=true], .skeleton"

MARK = "refused by policy: "
LISTEN = f"""
addEventListener("securitypolicyviolation", (event) =>
  console.error({json.dumps(MARK)} + event.violatedDirective + " " + event.blockedURI + " " + event.sample));
"""
NOT_LOADED = "Failed to load resource: "
"""Chromium's message about a failed answer, or none: tests check how pages show these. Refusals of a policy have another message."""

AXE = console_build.SOURCE / "node_modules" / "axe-core" / "axe.min.js"
AXE_FINDS = """(async (rules) => {
  // What lies under a dialog cannot be touched, and where the page is scrolled under it is nobody's matter.
  const top = [...document.querySelectorAll("dialog:modal")].at(-1) ?? document;
  const {violations} = await axe.run(top, {preload: false, resultTypes: ["violations"], ...(rules.length ? {runOnly: rules} : {})});
  return JSON.stringify(violations.map(({id, help, nodes}) => ({id, help, where: nodes.map((node) => node.target.join(" "))})));
})"""


@dataclass
class Seen:
    """The events of a page so far."""

    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def said(self, message: ConsoleMessage) -> None:
        text = message.text
        if text.startswith(MARK) or "Content Security Policy" in text or "TrustedScript" in text or "TrustedHTML" in text:
            self.refused.append(text)
        elif message.type == "error" and not text.startswith(NOT_LOADED):
            self.errors.append(text)

    def asked(self, request: Request) -> None:
        self.requests.append(request)

    def failed(self, error: Error) -> None:
        self.errors.append(f"{error.message}\n{error.stack}")


@dataclass(eq=False)
class Window:
    """A page, its context, which is a browser profile of its own, and its events."""

    page: Page
    seen: Seen
    origin: str = ORIGIN

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    def goto(self, path: str) -> Page:
        """Opens a path of the console and waits until it has finished loading."""
        self.page.goto(f"{self.origin}{path}")
        settled(self.page)
        return self.page

    def go_on(self, path: str) -> Page:
        """Opens a path without loading the page, at a quarter of the cost; loads it if the page is at that path already."""
        before = self.page.url
        if not before.startswith(f"{self.origin}/console/") or before == f"{self.origin}{path}":
            return self.goto(path)
        self.page.evaluate(GO_ON, path)
        settled(self.page)
        assert self.page.url != before, "the page went nowhere: has it a form that is filled in?"
        return self.page

    def rest(self, cookies: set[tuple[str, str]]) -> bool:
        """Resets the window: no other tab, no route and nothing stored. Returns True if another test, which has these cookies, can use it."""
        if self.page.is_closed() or pairs(self.context.cookies()) != cookies:
            return False
        try:
            for other in self.context.pages:
                if other is not self.page:
                    other.close()
            if self.page.url.startswith(self.origin):
                self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
            self.page.goto("about:blank")
            self.page.unroute_all(behavior="ignoreErrors")
        except Error:  # it navigated at that moment
            return False
        return True

    def asked(self) -> list[Request]:
        """Returns the page's requests so far."""
        if not self.page.is_closed():
            self.page.evaluate("0")  # the browser's events are delivered during a call
        return list(self.seen.requests)

    def another(self) -> Window:
        """Opens one more tab of the same profile."""
        return watched(self.context.new_page(), self.origin)


def pairs(cookies: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Returns the names of cookies, with their values."""
    return {(each["name"], each["value"]) for each in cookies}


def settled(page: Page) -> None:
    """Waits until no part of the page is loading."""
    expect(page.locator("main, [role=main]").first).to_be_visible()
    expect(page.locator(LOADING)).to_have_count(0)


def until_streaming(window: Window) -> None:
    """Waits until the window has read the resource of each open stream once more, and has the answer.

    A stream that was silent for too long, as beside other suites, is replaced by a poll.
    """

    def is_on() -> bool:
        # Cancelled requests, such as a poll that a stream overtook, have no answer.
        paths = [path for request in window.asked() if (path := urlsplit(request.url).path).endswith("/watch") or not request.failure]
        watched_paths = {path: path.removesuffix("/watch") for path in paths if path.endswith("/watch")}
        return any(paths.count(stream) < paths.count(of) <= window.page.evaluate(ANSWERED, of) for stream, of in watched_paths.items())

    eventually("a stream is on", is_on)


def watched(page: Page, origin: str = ORIGIN) -> Window:
    """Returns the page, watched from now on."""
    events = Seen()
    page.add_init_script(LISTEN)
    page.on("console", events.said)
    page.on("pageerror", events.failed)
    page.on("request", events.asked)
    return Window(page, events, origin)


def sign_in(window: Window, token: str) -> None:
    """Signs in with the form that the window shows."""
    window.page.get_by_label("Token").fill(token)
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page.get_by_role("button", name="Account")).to_be_visible()


class Windows:
    """The windows that one test opens."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._open: list[Window] = []

    def open(self, *, origin: str = ORIGIN, **options: Any) -> Window:
        """Opens a window with its own profile on the console at `origin`.

        `options` are those of a context: viewport, color_scheme, storage_state…
        """
        context = self._browser.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **options})
        context.set_default_timeout(WAITS)
        window = watched(context.new_page(), origin)
        self._open.append(window)
        return window

    def take(self, window: Window) -> Window:
        """Adds a window that an earlier test used."""
        for events in (window.seen.refused, window.seen.errors, window.seen.requests):
            events.clear()
        self._open.append(window)
        return window

    def picture(self, to: Path) -> None:
        """Writes pictures of all of them, for readers of a failed test."""
        to.parent.mkdir(parents=True, exist_ok=True)
        pages = [page for each in self._open for page in each.context.pages]
        for number, page in enumerate(pages, 1):
            with contextlib.suppress(Error):
                page.screenshot(path=to.with_name(f"{to.name}-{number}.png"), timeout=5000)

    def close(self, resting: Collection[Window] = ()) -> None:
        """Closes all of them except the resting ones. Asserts that no policy refused anything, and no script failed."""
        for each in self._open:
            if each not in resting:
                each.context.close()
        refused = [text for each in self._open for text in each.seen.refused]
        errors = [text for each in self._open for text in each.seen.errors]
        assert not refused, "the policy of a page refused: " + "; ".join(refused)
        assert not errors, "a script of a page failed: " + "; ".join(errors)


def axe(page: Page, *rules: str) -> list[dict[str, Any]]:
    """Returns axe's findings on the current page, by all its rules or by these.

    It runs by the debugger, because the page's policy accepts no script of ours.
    """
    session = page.context.new_cdp_session(page)
    try:
        if session.send("Runtime.evaluate", {"expression": "typeof axe"})["result"]["value"] == "undefined":
            session.send("Runtime.evaluate", {"expression": AXE.read_text()})
        expression = f"{AXE_FINDS}({json.dumps(rules)})"
        answer = session.send("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
    finally:
        session.detach()
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    violations: list[dict[str, Any]] = json.loads(answer["result"]["value"])
    return violations


def kept(page: Page) -> str:
    """Returns everything stored in the browser that this origin can read: storages, databases, caches, cookies, its address and history."""
    return str(
        page.evaluate(
            """async () => {
          const databases = [];
          for (const {name} of await indexedDB.databases()) {
            const database = await new Promise((done, failed) => {
              const asked = indexedDB.open(name);
              asked.onsuccess = () => done(asked.result);
              asked.onerror = () => failed(asked.error);
            });
            for (const store of database.objectStoreNames) {
              databases.push(name, store, await new Promise((done) => {
                const asked = database.transaction(store).objectStore(store).getAll();
                asked.onsuccess = () => done(asked.result);
              }));
            }
          }
          const cached = [];
          for (const name of await caches.keys()) {
            const cache = await caches.open(name);
            for (const request of await cache.keys()) cached.push(request.url, await (await cache.match(request)).text());
          }
          return JSON.stringify({
            address: location.href, history: history.state, referrer: document.referrer, name: window.name, cookie: document.cookie,
            local: {...localStorage}, session: {...sessionStorage}, databases, cached,
            resources: performance.getEntriesByType("resource").map((entry) => entry.name),
            page: document.documentElement.outerHTML,
            fields: [...document.querySelectorAll("input, textarea")].map((each) => each.value),
          });
        }"""
        )
    )
