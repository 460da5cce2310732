"""The console's cost for its readers: limits of bytes and requests.

Times are measured over a slow line, with SOAK=1 into docs/measured/console.txt.
"""

from __future__ import annotations

import gzip
import re
import statistics
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from local import console_build
from tests.console.conftest import PageAs
from tests.support.browser import chromium
from tests.support.browser.pages import settled
from tests.support.browser.served import Served
from tests.support.history_stage import HistoryStage, counted
from tests.support.measured import Figures
from tests.support.waiting import eventually

JS_MOST, CSS_MOST = 60_000, 12_000
"""Bytes, gzipped, that the shell may load before it shows anything."""
ALL_JS_MOST, ALL_CSS_MOST = 100_500, 16_000
"""Bytes, gzipped, with everything that each visit loads after the first screen."""
ON_DEMAND_MOST = 7_500
"""Bytes, gzipped, of the scripts that a visit loads only where it needs them: background runs, sessions, and the report."""
PAGE_MOST = 5_000
"""Bytes of the page itself, and of the headers of all files."""
ANSWERS_MOST, APP_MOST = 5_000, 1_200
"""Bytes of the API's answers without lists of Apps, and of an App without deployments in such a list."""
# The newest and all are requested at once; all again once their stream is open, and when another test changes an App.
LIST, LISTS_MOST, OTHERS_MOST = "/v1/apps", 4, 6
"""The path of the list of Apps, how often it may be requested, and how many other requests there may be."""
REST = "/assets/rest-"
"""Prefix of the files that the console loads by itself a second after the first screen."""
REST_IS_THERE = """(rest) => ['.css', '.js'].every((kind) =>
  performance.getEntriesByType('resource').some(({ name }) => name.includes(rest) && name.endsWith(kind)))"""

LATENCY, LINE = 20, 10_000_000  # milliseconds, bits per second
LOADS = 20


@dataclass(frozen=True)
class Load:
    """One load of a page, without the files that the console loads by itself after the first screen.

    `painted`, `complete`: milliseconds until the first text and until everything is shown. `files`, `answers`: bytes. `asked`: the
    requests.
    """

    painted: float
    complete: float
    files: int
    answers: int
    asked: tuple[str, ...]

    @property
    def others(self) -> list[str]:
        """Returns the requests other than those for the list of Apps. Each stream counts once."""
        # On a busy machine a stream that is silent for too long is reopened.
        found = [url for url in self.asked if urlsplit(url).path != LIST]
        return [url for at, url in enumerate(found) if not (urlsplit(url).path.endswith("/watch") and url in found[:at])]


def loaded(page: Page, path: str) -> Load:
    """Opens a path of the console, and measures the load."""
    page.goto("about:blank")  # what the page before still asks for is not counted
    urls: dict[str, str] = {}
    received: dict[str, int] = {}
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: received.update({event["requestId"]: int(event["encodedDataLength"])}))
    session.on("Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]}))
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": LATENCY, "downloadThroughput": LINE / 8, "uploadThroughput": LINE / 8},
    )
    try:
        page.goto(path)
        settled(page)
        complete = page.evaluate("performance.now()")
        painted = page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime").json_value()
    finally:
        session.detach()
    page.wait_for_function(REST_IS_THERE, arg=REST)  # so that it is in the browser's cache at the next visit, however soon that is
    files = {each for each, url in urls.items() if urlsplit(url).path == "/console/" or "/assets/" in url}
    of_files = sum(size for each, size in received.items() if each in files)
    first = tuple(url for url in urls.values() if REST not in url)
    return Load(painted, complete, of_files, sum(received.values()) - of_files, first)


def first_of_kind(built: Path, suffix: str) -> set[Path]:
    """Returns the files with this suffix that the shell itself names."""
    named = re.findall(rf'"/console/(assets/[^"]+{re.escape(suffix)})"', (built / "index.html").read_text())
    assert named
    return {built / name for name in named}


def _total(files: Iterable[Path]) -> int:
    """Returns the bytes of the files, gzipped each by itself, as the API sends them."""
    return sum(_packed(path) for path in files)


def _packed(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9))


def test_its_scripts_and_styles_stay_small() -> None:
    built = console_build.ensure()
    for suffix, first_most, all_most in ((".js", JS_MOST, ALL_JS_MOST), (".css", CSS_MOST, ALL_CSS_MOST)):
        first = first_of_kind(built, suffix)
        assert _total(first) <= first_most, f"{suffix} of the first screen is {_total(first)} bytes, gzipped"
        by_itself = first | {path for path in built.rglob(f"*{suffix}") if REST in path.as_posix()}
        assert len(by_itself) == 2
        assert _total(by_itself) <= all_most, f"{suffix} that each visit loads is {_total(by_itself)} bytes, gzipped"
        on_demand = set(built.rglob(f"*{suffix}")) - by_itself
        assert _total(on_demand) <= ON_DEMAND_MOST, f"{suffix} that is loaded on demand is {_total(on_demand)} bytes, gzipped"


def test_the_first_screen_asks_little_and_the_next_visit_loads_no_file_again(page_as: PageAs, console: Served) -> None:
    page = page_as("viewer", "/console/sign-in", is_new=True).page
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    first = loaded(page, f"{console.origin}/console/")
    assert len(first.others) <= OTHERS_MOST, first.asked
    assert len(set(first.others)) == len(first.others), "but for the list nothing is asked for twice"
    assert first.files <= ALL_JS_MOST + ALL_CSS_MOST + PAGE_MOST, "with all that the browser loads meanwhile for what comes next"
    lists = page.evaluate(
        "performance.getEntriesByType('resource').filter((e) => e.name.includes('/v1/apps?')).map((e) => e.encodedBodySize)"
    )
    assert 1 <= len(lists) <= LISTS_MOST
    assert first.answers - sum(lists) <= ANSWERS_MOST, "but for the list, which is as long as other tests made it"
    again = loaded(page, f"{console.origin}/console/")
    assert len(again.others) <= OTHERS_MOST, again.asked
    assert 1 <= sum(urlsplit(url).path == LIST for url in again.asked) <= LISTS_MOST, again.asked
    sizes = page.evaluate("performance.getEntriesByType('resource').filter((e) => e.name.includes('/assets/')).map((e) => e.transferSize)")
    assert sizes
    assert set(sizes) == {0}, "files that never change are taken from the browser's cache"


def test_an_app_takes_little_of_the_list(page_as: PageAs, stage: HistoryStage) -> None:
    page = page_as("viewer", "/console/").page
    name = f"plain-{uuid.uuid4().hex[:8]}"
    stage.app(name, workflow=name)  # which nobody makes: another test may make those of other names, and the list tells of them
    listed = "fetch('/v1/apps?page_size=500').then((answer) => answer.json()).then(({ data }) => data.map((app) => JSON.stringify(app)))"
    (plain,) = eventually(
        "the App is listed with what the operator says of it",
        lambda: [app for app in page.evaluate(listed) if name in app and "nothing has been deployed yet" in app],
    )
    assert len(plain) <= APP_MOST


@pytest.mark.long("times over a slow line, for figures; bytes and requests: the other tests of this file")
@pytest.mark.full_count
def test_loads_over_a_slow_line(page_as: PageAs, console: Served, figures: Figures) -> None:
    cold, warm = [], []
    for _ in range(counted(LOADS)):
        page = page_as("viewer", "/console/sign-in", is_new=True).page
        page.context.new_cdp_session(page).send("Network.clearBrowserCache")
        cold.append(loaded(page, f"{console.origin}/console/"))
        warm.append(loaded(page, f"{console.origin}/console/"))
        page.context.close()
    built = console_build.ensure()
    figures.note(
        f"{chromium.version()}, over {LATENCY} ms and {LINE // 1_000_000} Mbit/s by Network.emulateNetworkConditions, {len(cold)} loads each",
        f"files of the first screen, gzipped: {_total(first_of_kind(built, '.js'))} bytes of JavaScript, "
        f"{_total(first_of_kind(built, '.css'))} of CSS; all: {_total(built.rglob('*.js'))} and {_total(built.rglob('*.css'))}",
        *(
            f"{what:12} first paint p50 {statistics.median(load.painted for load in loads):5.0f} ms, complete p50 "
            f"{statistics.median(load.complete for load in loads):5.0f} ms, most {max(load.complete for load in loads):5.0f} ms; "
            f"{len(loads[0].asked)} requests, {loads[0].files} bytes of files and {loads[0].answers} of answers"
            for what, loads in (("empty cache", cold), ("next visit", warm))
        ),
    )
    assert all(load.files < cold[0].files / 2 for load in warm), (
        "but for the page itself, no file is loaded again; the list is as long as other tests made it"
    )
