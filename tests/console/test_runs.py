"""The runs of an App: a list of thousands that grows while it is read. `operator/console/tests` tests the screens' texts in a DOM."""

from __future__ import annotations

import re
from typing import Protocol

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.console.support import runs
from tests.support import factories, rest
from tests.support.browser.histories import LongHistory
from tests.support.browser.pages import axe, settled
from tests.support.history_stage import HistoryStage
from tests.support.recorder_answers import Recorded
from tests.support.waiting import eventually

RENDERED_MOST = 60
ROWS, RUNS = 12, 12_000
LOOKED_AGAIN_AFTER, LOOKED_AT_FIGURES_AFTER = 4_000, 30_000
"""Milliseconds until the page reads runs and figures again."""

COUNTED = """(() => {
  const asked = window.fetch;
  window.asks = 0;
  window.fetch = (address, ...more) => {
    if (/\\/(runs|metrics|verdicts|recorder|comparison)([/?]|$)/.test(address)) window.asks += 1;
    return asked(address, ...more);
  };
})()"""
"""Counts in the page its requests to the recorder. On a busy machine the test would see them too late."""


class Opened(Protocol):
    def __call__(self, recorded: Recorded, rest: str = "/runs", user: str = "admin", clock: bool = False) -> Page: ...


@pytest.fixture(scope="module")
def history(stage: HistoryStage) -> LongHistory:
    stage.app("recorded", factories.public(), workflow="long")
    return LongHistory(rest.uid(stage.api, kinds.APP.kind, "recorded", stage.namespace), ROWS)


@pytest.fixture(scope="module")
def many(history: LongHistory) -> Recorded:
    """Returns more than ten thousand runs, which no test changes."""
    return runs.of_history(history, count=RUNS)


@pytest.fixture
def few(history: LongHistory) -> Recorded:
    return runs.of_history(history)


@pytest.fixture
def opened(page_as: PageAs, history: LongHistory) -> Opened:
    """Returns a function that opens a page of the App over made-up runs. `clock`: the test sets the page's time."""

    def at(recorded: Recorded, rest: str = "/runs", user: str = "admin", clock: bool = False) -> Page:
        window = page_as(user, None, is_new=clock)
        history.serve(window.page)
        runs.given(window.page, recorded)
        if clock:
            window.page.clock.install()
            window.page.add_init_script(COUNTED)
        page = window.goto(f"/console/apps/{history.app_id}{rest}")
        settled(page)
        return page

    return at


def links(page: Page) -> Locator:
    """Returns the links of the rendered runs."""
    return runs.table(page).get_by_role("link")


def short(*found: object) -> list[str]:
    """Returns the first eight characters of runs' ids, as the page shows them."""
    return [str(getattr(run, "id"))[:8] for run in found]  # noqa: B009


def queries_of(recorded: Recorded, path: str) -> list[dict[str, str]]:
    """Returns the queries of a path so far."""
    return [dict(query) for _, each, query in recorded.asked if each.endswith(path)]


# The list.


def test_few_of_ten_thousand_runs_are_rendered_and_scrolling_reads_the_next(opened: Opened, many: Recorded) -> None:
    many.asked.clear()
    page = opened(many)
    expect(runs.total(page)).to_have_text("10,000+ runs")

    def cursors() -> list[str]:
        return [query["cursor"] for query in queries_of(many, "/runs") if "cursor" in query]

    while len(cursors()) < 12:
        before = page.evaluate("document.documentElement.scrollHeight")
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_function("before => document.documentElement.scrollHeight > before", arg=before)
        assert links(page).count() <= RENDERED_MOST
    assert len(set(cursors())) == len(cursors()), "no page is read twice"
    assert links(page).last.inner_text() in short(*many.runs[1_000:])
    assert axe(page) == []


def test_the_list_reads_past_empty_pages_and_reports_it(page_as: PageAs, history: LongHistory) -> None:
    recorded = runs.of_history(history, looks=50)
    oldest = recorded.runs[-1]
    recorded.runs[-1] = oldest.model_copy(update={"duration_ms": 500_000.0})
    window = page_as("viewer", None)
    history.serve(window.page)
    runs.given(window.page, recorded)
    held: list[Route] = []
    third = re.compile(rf"/runs\?.*cursor={recorded.runs[99].id}")
    window.page.route(third, lambda route: held.append(route))
    page = window.goto(f"/console/apps/{history.app_id}/runs?min_duration_ms=500000")
    expect(page.get_by_role("heading", name="Searching older runs…")).to_be_visible()
    expect(runs.total(page)).to_have_text("0+ runs")
    eventually("the third page is asked for", lambda: page.evaluate("0") or held)  # what it asked is heard while it is spoken to
    held[0].fallback()
    expect(links(page)).to_have_text(short(oldest))
    expect(runs.total(page)).to_have_text("1 run")
    assert sum("cursor" in query for query in queries_of(recorded, "/runs")) == 9, "a look at what is new since has none"


def test_new_runs_are_added_on_request(opened: Opened, few: Recorded) -> None:
    page = opened(few, clock=True)
    first = few.runs[0].id[:8]
    expect(links(page).first).to_have_text(first)
    few.add(3)
    page.clock.run_for(LOOKED_AGAIN_AFTER + 500)
    expect(page.get_by_role("button", name="3 new runs")).to_be_visible()
    expect(links(page).first).to_have_text(first)
    page.evaluate("scrollTo(0, 1500)")
    page.get_by_role("button", name="3 new runs").click()
    expect(links(page).first).to_have_text(*short(few.runs[0]))
    expect(runs.total(page)).to_have_text("503 runs")


def test_typed_text_stays_when_a_response_arrives(opened: Opened, few: Recorded) -> None:
    page = opened(few, clock=True)
    expect(links(page).first).to_be_visible()
    errors = page.get_by_role("searchbox", name="Error")
    errors.fill("did not")
    few.add(3)
    page.clock.run_for(LOOKED_AGAIN_AFTER + 500)
    expect(page.get_by_role("button", name="3 new runs")).to_be_visible()
    expect(errors).to_have_value("did not")


def test_a_hidden_page_sends_no_request(opened: Opened, few: Recorded) -> None:
    page = opened(few, clock=True)
    expect(links(page).first).to_be_visible()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    before = page.evaluate("window.asks")
    assert before > 0
    page.clock.run_for(10 * LOOKED_AGAIN_AFTER)
    assert page.evaluate("window.asks") == before
    page.evaluate("delete document.hidden")
    with page.expect_request(runs.OF_THE_RECORDER):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_page_without_a_recorder_sends_no_further_request(page_as: PageAs, history: LongHistory) -> None:
    window = page_as("viewer", None, is_new=True)
    history.serve(window.page)
    runs.refused(window.page)
    window.page.clock.install()
    window.page.add_init_script(COUNTED)
    page = window.goto(f"/console/apps/{history.app_id}/monitoring")
    expect(page.get_by_role("heading", name="No recorder is installed")).to_be_visible()
    settled(page)
    before = page.evaluate("window.asks")
    assert before > 0
    page.clock.run_for(LOOKED_AT_FIGURES_AFTER + 2_000)
    settled(page)
    assert page.evaluate("window.asks") == before
