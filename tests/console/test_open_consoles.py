"""How soon a change in the cluster is shown, and the cost of open consoles while nothing changes. SOAK=1 measures all required figures."""

from __future__ import annotations

import re
import statistics
import time
import uuid
from collections.abc import Sequence

import pytest
from playwright.sync_api import Page

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.support import rest
from tests.support.browser import chromium
from tests.support.browser.chromium import Places
from tests.support.browser.pages import Window, until_streaming
from tests.support.browser.served import Served, User
from tests.support.history_stage import APP, HistoryStage, counted, in_full
from tests.support.measured import Figures
from tests.support.rest import Client
from tests.support.waiting import eventually

pytestmark = pytest.mark.long(
    "for figures; what happens in the cluster comes to the page: tests/console/test_watch.py; what the first screen asks: tests/console/test_performance.py"
)

CHANGES, CONSOLES, CALLS = 200, 100, 300
REST = 60
"""Seconds for which the requests of the API server are counted."""
REQUESTS_MOST = 1.2
"""How many times the requests of one open console a hundred consoles may cause."""

SHOWN = """(() => {
  window.shownAt = {};
  new MutationObserver(() => {
    for (const each of document.querySelectorAll("h1, .history-table [data-place]")) window.shownAt[each.textContent] ??= Date.now();
  }).observe(document, {childList: true, subtree: true, characterData: true});
})()"""
"""Notes when a text was first shown in the heading, or in a row of the history."""

FOUND = "(said) => Object.entries(window.shownAt).find(([text]) => text.includes(said))?.[1]"


@pytest.fixture(scope="module")
def app(stage: HistoryStage) -> str:
    name = f"a-{uuid.uuid4().hex[:8]}"
    stage.app(name, workflow=APP)
    stage.live(name, "v1", runtime=stage.default_runtime)
    return name


def address(stage: HistoryStage, app: str) -> str:
    return f"/console/apps/{rest.uid(stage.api, kinds.APP.kind, app, stage.namespace)}"


def watched(page_as: PageAs, path: str) -> Window:
    """Returns a window at a path, once its stream is open."""
    window = page_as("viewer", "/console/workflows", is_new=True)
    window.page.add_init_script(SHOWN)
    window.page.goto("about:blank")  # what the page before still asks for is not counted
    window.seen.requests.clear()
    window.goto(path)
    until_streaming(window)
    return window


def shown(page: Page, said: str, since: float) -> float:
    """Returns the milliseconds from `since`, as of `time.time()`, until the page showed a text."""
    found = page.wait_for_function(FOUND, arg=said).json_value()
    return float(found - since * 1000)


@pytest.mark.full_count
@pytest.mark.timeout(600)
def test_a_change_is_soon_on_the_screen(stage: HistoryStage, app: str, page_as: PageAs, figures: Figures) -> None:
    path = address(stage, app)
    overview, history = watched(page_as, path), watched(page_as, f"{path}/history")
    names, rows = [], []
    for _ in range(counted(CHANGES)):
        name = f"Renamed {uuid.uuid4().hex[:8]}"
        began = time.time()
        stage.change(kinds.APP.kind, app, spec={"displayName": name})
        names.append(shown(overview.page, name, began))
        message = f"Deployed {uuid.uuid4().hex[:8]}"
        began = time.time()
        row = stage.deploy(app, "v2", runtime=stage.default_runtime, message=message)
        rows.append(shown(history.page, message, began))
        stage.until(row, "Live")
    figures.note(
        f"{chromium.version()}: from a write to the API server until it is on the screen, {len(names)} each",
        *(
            f"{what:20} p50 {statistics.median(each):4.0f} ms, p95 {percentile(each, 95):4.0f} ms, most {max(each):4.0f} ms"
            for what, each in (("an App's name", names), ("a row of the history", rows))
        ),
    )


def percentile(times: Sequence[float], which: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[which - 1]


@pytest.mark.full_count
@pytest.mark.timeout(1800)
def test_open_consoles_ask_for_nothing_while_nothing_changes(
    stage: HistoryStage,
    app: str,
    page_as: PageAs,
    console: Served,
    places: Places,
    users: dict[str, User],
    figures: Figures,
) -> None:
    path = address(stage, app)
    screens = ("/console/", path, f"{path}/history", f"{path}/configuration", "/console/?q=a")
    caller = Client(f"https://127.0.0.1:{console.port}", users["deployer"].token)
    call = path.replace("/console/", "/v1/")
    windows: list[Window] = []
    found = []
    for count in (1, counted(CONSOLES)):
        windows += [watched(page_as, screens[number % len(screens)]) for number in range(len(windows), count)]
        come_to_rest(windows)
        times = [_timed(caller, call, places) for _ in range(counted(CALLS))]
        before, requested = requests(stage), asked_by(windows)
        time.sleep(max(REST if in_full() else REST / 10, 2))  # as long as they are at rest
        found.append((requests(stage) - before, percentile(times, 95)))
        assert asked_by(windows) == requested, "at rest a console asks for nothing"
    (few, alone), (many, beside) = found
    figures.note(
        f"{len(windows)} open consoles beside 1, on {len(screens)} screens, in one Chromium on the same machine, nothing changes",
        f"requests to the API server in {REST if in_full() else REST // 10} s: {few:.0f} and {many:.0f}, ratio {many / few:.2f}",
        f"GET of an App by somebody else, {counted(CALLS)} calls: p95 {alone:.1f} and {beside:.1f} ms, ratio {beside / alone:.2f}",
    )
    if in_full():
        assert many <= REQUESTS_MOST * few


def come_to_rest(windows: Sequence[Window]) -> None:
    eventually("nothing is under way", lambda: _is_quiet(windows))


def _is_quiet(windows: Sequence[Window]) -> bool:
    """Returns True if no window has sent a request in three seconds."""
    # A silent stream is reopened after one second, or polls replace it.
    before = asked_by(windows)
    time.sleep(3)  # the length of the look
    return asked_by(windows) == before


def asked_by(windows: Sequence[Window]) -> int:
    return sum(len(window.asked()) for window in windows)


def requests(stage: HistoryStage) -> float:
    """Returns the number of requests that the API server has answered so far."""
    metrics = stage.kubectl("get", "--raw", "/metrics").stdout
    return sum(float(value) for value in re.findall(r"^apiserver_request_total\{.*\} (\S+)$", metrics, re.MULTILINE))


def _timed(caller: Client, path: str, places: Places) -> float:
    began = time.perf_counter()
    assert caller("GET", path, verify=str(places.authority)).status_code == 200
    return (time.perf_counter() - began) * 1000
