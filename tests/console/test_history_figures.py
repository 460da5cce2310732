"""The cost of a long history for its reader, compared with a short one, on a real API server. SOAK=1 has 10,000 rows, `make test` a tenth."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from local.clusters import Cluster
from tests.support import factories as given
from tests.support import made_rows, rest
from tests.support.api import Api, fresh_namespace
from tests.support.browser import chromium
from tests.support.browser.pages import ORIGIN, Windows, sign_in
from tests.support.browser.served import Served, User
from tests.support.history_stage import counted, in_full
from tests.support.measured import Figures

FULL, FEW = 10_000, 50
VERSIONS, FAILED_EVERY = 12, 10
ROUNDS = 20
RENDERED_MOST = 60
READ_MOST = 4
"""The most pages of rows that may be read to show the other end or a filter's result."""
HEAP_MOST = 150_000_000
SLOWER_MOST = 4.0
"""How many times as long ten thousand rows may take as a few rows, in the median. The machine is busy, and a filter checks each row."""

FIRST_ROW = """new MutationObserver((_, observer) => {
  if (!document.querySelector(".history-table [data-place]:not(.unread)")) return;
  window.firstRow = performance.now();
  observer.disconnect();
}).observe(document, {childList: true, subtree: true})"""
"""Notes when the first row of a loading page is shown."""

TIMED = """([press, version, row, total]) => new Promise((done, failed) => {
  const began = performance.now();
  if (press) [...document.querySelectorAll("button")].find((each) => each.innerText.trim() === press).click();
  else {
    const choice = [...document.querySelectorAll("label")].find((each) => each.innerText.startsWith("Version")).querySelector("select");
    choice.value = version;
    choice.dispatchEvent(new Event("change", {bubbles: true}));
  }
  const isThere = () => {
    const rows = [...document.querySelectorAll(".history-table [data-place]:not(.unread)")];
    const found = rows.find((each) => each.innerText.includes(row));
    const {top, bottom} = found?.getBoundingClientRect() ?? {top: -1, bottom: -1};
    return top >= 0 && bottom <= innerHeight && document.querySelector(".total").innerText.startsWith(total);
  };
  const look = () => {
    if (isThere()) done(performance.now() - began);
    else if (performance.now() - began < 120_000) requestAnimationFrame(look);
    else failed(new Error(`${row} of ${total} does not come: ${document.querySelector("main").innerText.slice(0, 1500)}`));
  };
  look();
})"""
"""Presses a button or filters by a version, and returns the milliseconds until a row is shown under the expected total."""


@dataclass(frozen=True)
class Histories:
    """Two Apps of a namespace by name, the number of their rows, and a user who reads them."""

    apps: Mapping[str, str]
    counts: Mapping[str, int]
    reader: User

    def path(self, name: str) -> str:
        return f"/console/apps/{self.apps[name]}/history"

    def rows_of(self, name: str, version: int) -> list[int]:
        """Returns the sequences that ran a version, newest first."""
        return [number + 1 for number in range(self.counts[name] - 1, -1, -1) if number % VERSIONS + 1 == version]


@pytest.fixture(scope="module")
def histories(cluster: Cluster, console: Served) -> Iterator[Histories]:
    api, counts = Api.of(cluster), {"short": FEW, "long": counted(FULL)}
    with fresh_namespace(api, "long-history") as namespace:
        apps = {}
        for name in counts:
            made = api.create(given.app_manifest(given.in_namespace(namespace), name=name))
            assert made.ok, made.message
            apps[name] = made.body["metadata"]["uid"]
        made_rows.make(
            cluster,
            (
                made_rows.row(
                    namespace,
                    name,
                    apps[name],
                    number,
                    (given.superseded if number % FAILED_EVERY else given.failed)(number + 1, f"v{number % VERSIONS + 1}"),
                )
                for name, count in counts.items()
                for number in range(count)
            ),
        )
        yield Histories(apps, counts, User("reader", rest.account(api, namespace, "reader", "view")))


@pytest.fixture
def page(histories: Histories, windows: Windows) -> Page:
    """Returns a page of the reader."""
    window = windows.open()
    window.goto("/console/sign-in?to=/console/workflows")
    sign_in(window, histories.reader.token)
    window.page.add_init_script(FIRST_ROW)
    return window.page


def opened(page: Page, histories: Histories, name: str) -> float:
    """Opens a history by its address, and returns the milliseconds until its first row is shown."""
    page.goto(f"{ORIGIN}{histories.path(name)}")
    expect(page.locator(".total")).to_have_text(f"{histories.counts[name]:,} deployments")
    found: float = page.wait_for_function("window.firstRow").json_value()
    return found


def reads(page: Page, act: tuple[str, str, str, str]) -> tuple[float, int]:
    """Returns the milliseconds that an action on the page took, and the number of pages of rows that it read."""
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url) if "/deployments?" in request.url else None)
    took: float = page.evaluate(TIMED, list(act))
    return took, len(urls)


def heap(page: Page) -> int:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return int(metrics["JSHeapUsedSize"])


@pytest.mark.long("a thousand real rows, for figures; what is read and rendered of ten thousand: tests/console/test_long_history.py")
@pytest.mark.full_count
@pytest.mark.timeout(900)
def test_a_long_history_is_there_at_once_at_both_its_ends_and_filtered(page: Page, histories: Histories, figures: Figures) -> None:
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(counted(ROUNDS)):
        for name, count in histories.counts.items():
            filtered = histories.rows_of(name, 7)
            found = {"the first row": opened(page, histories, name)}
            acts = {
                "the other end": ("Oldest", "", "#1\n", f"{count:,} "),
                "the newest again": ("Newest", "", f"#{count}\n", f"{count:,} "),
                "a filter": ("", "v7", f"#{filtered[0]}\n", f"{len(filtered):,} "),
            }
            for title, act in acts.items():
                found[title], asked = reads(page, act)
                assert asked <= READ_MOST, f"{title} of the {name} history: {asked} pages of rows"
            assert page.locator(".history-table [data-place]").count() <= RENDERED_MOST
            for title, took in found.items():
                times.setdefault(title, {}).setdefault(name, []).append(took)
    held = heap(page)
    medians = {title: {name: statistics.median(each) for name, each in of.items()} for title, of in times.items()}
    figures.note(
        f"{chromium.version()}: a history of {histories.counts['long']:,} rows beside one of {FEW}, {counted(ROUNDS)} times each",
        *(
            f"{title:18} p50 {found['long']:5.0f} ms, most {max(times[title]['long']):5.0f} ms; of the short one p50 {found['short']:5.0f} ms: "
            f"ratio {found['long'] / found['short']:.2f}"
            for title, found in medians.items()
        ),
        f"heap afterwards    {held / 1e6:.1f} MB",
    )
    assert held <= HEAP_MOST
    if in_full():
        assert {title: found for title, found in medians.items() if found["long"] > SLOWER_MOST * max(found["short"], 50)} == {}
