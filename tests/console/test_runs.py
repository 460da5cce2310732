"""The runs of an App: a list of thousands that filters by its address and grows while it is read, and one run with its nodes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Protocol

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.console.support import runs
from tests.support import factories, rest
from tests.support.browser.answers import answered, example
from tests.support.browser.histories import LongHistory
from tests.support.browser.histories import row as row_of
from tests.support.browser.pages import axe, settled
from tests.support.history_stage import HistoryStage
from tests.support.recorder_answers import Recorded
from tests.support.recorder_runs import Row
from tests.support.waiting import eventually

RENDERED_MOST = 60
ROWS, RUNS = 12, 12_000
LOOKED_AGAIN_AFTER, LOOKED_AT_FIGURES_AFTER = 4_000, 30_000
"""Milliseconds."""


class Opened(Protocol):
    def __call__(self, recorded: Recorded, rest: str = "/runs", user: str = "admin", clock: bool = False) -> Page: ...


@pytest.fixture(scope="module")
def history(stage: HistoryStage) -> LongHistory:
    stage.app("recorded", factories.public(), workflow="long")
    return LongHistory(rest.uid(stage.api, kinds.APP.kind, "recorded", stage.namespace), ROWS)


@pytest.fixture(scope="module")
def many(history: LongHistory) -> Recorded:
    """Ten thousand runs and more, which no test changes."""
    return runs.of_history(history, count=RUNS)


@pytest.fixture
def few(history: LongHistory) -> Recorded:
    return runs.of_history(history)


@pytest.fixture
def opened(page_as: PageAs, history: LongHistory) -> Opened:
    """Opens a page of the App over runs that are made up; with `clock` its time goes on as the test says."""

    def at(recorded: Recorded, rest: str = "/runs", user: str = "admin", clock: bool = False) -> Page:
        window = page_as(user, "/console/workflows")
        history.serve(window.page)
        runs.given(window.page, recorded)
        if clock:
            window.page.clock.install()
        page = window.goto(f"/console/apps/{history.app_id}{rest}")
        settled(page)
        return page

    return at


def links(page: Page) -> Locator:
    """The runs that are rendered, by their links."""
    return runs.table(page).get_by_role("link")


def short(*found: object) -> list[str]:
    """What people read of the ids of runs."""
    return [str(getattr(run, "id"))[:8] for run in found]  # noqa: B009


def asked(recorded: Recorded, path: str) -> list[dict[str, str]]:
    """The queries of a path so far."""
    return [dict(query) for _, each, query in recorded.asked if each.endswith(path)]


# The list.


def test_of_ten_thousand_runs_few_are_rendered_and_the_next_come_as_one_reads_on(opened: Opened, many: Recorded) -> None:
    many.asked.clear()
    page = opened(many)
    expect(runs.total(page)).to_have_text("10,000+ runs")

    def cursors() -> list[str]:
        return [query["cursor"] for query in asked(many, "/runs") if "cursor" in query]

    while len(cursors()) < 12:
        before = page.evaluate("document.documentElement.scrollHeight")
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_function("before => document.documentElement.scrollHeight > before", arg=before)
        assert links(page).count() <= RENDERED_MOST
    assert len(set(cursors())) == len(cursors()), "no page is read twice"
    assert links(page).last.inner_text() in short(*many.runs[1_000:])
    assert axe(page) == []


def test_filters_stand_in_the_address_and_are_what_the_recorder_is_asked(opened: Opened, few: Recorded, history: LongHistory) -> None:
    page = opened(few)
    filters = page.get_by_role("search", name="Filter the runs")
    filters.locator("summary").filter(has_text="Status").click()
    filters.get_by_role("checkbox", name="Failed").check()
    filters.get_by_role("checkbox", name="Timed out").check()
    expect(page).to_have_url(re.compile(r"status=failed%2Ctimed_out"))
    wanted = [run for run in few.runs if run.status in ("failed", "timed_out")]
    expect(runs.total(page)).to_have_text(f"{len(wanted)} runs")
    filters.get_by_role("combobox", name="Row").select_option(history.rows[0]["id"])
    of_row = [run for run in wanted if run.deployment_id == history.rows[0]["id"]]
    expect(runs.total(page)).to_have_text("1 run" if len(of_row) == 1 else f"{len(of_row)} runs")
    filters.get_by_role("button", name="Clear", exact=True).click()
    filters.locator("summary").filter(has_text="More").click()
    for label, name, text in (
        ("Session", "session_id", "session-3"),
        ("User", "user_id", "anna"),
        ("Took at least (ms)", "min_duration_ms", "300"),
    ):
        filters.get_by_label(label).fill(text)
        filters.get_by_label(label).press("Enter")
        expect(page).to_have_url(re.compile(f"{name}={text}"))
    wanted = [run for run in few.runs if run.session_id == "session-3" and run.user_id == "anna" and run.duration_ms >= 300]
    assert wanted
    expect(links(page)).to_have_text(short(*wanted))
    page.reload()
    settled(page)
    expect(links(page)).to_have_text(short(*wanted))


def test_errors_are_searched_and_the_slowest_come_first(opened: Opened, few: Recorded) -> None:
    page = opened(few)
    page.get_by_role("searchbox", name="Error").fill("did not ANSWER")
    page.get_by_role("searchbox", name="Error").press("Enter")
    expect(runs.total(page)).to_have_text(f"{sum(run.error is not None for run in few.runs)} runs")
    page.get_by_role("searchbox", name="Error").fill("no such error")
    page.get_by_role("searchbox", name="Error").press("Enter")
    expect(page.get_by_role("heading", name="No run fits these filters")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(runs.total(page)).to_have_text("500 runs")
    page.get_by_role("combobox", name="Newest first").select_option("-duration_ms")
    expect(links(page).first).to_have_text(*short(max(few.runs, key=lambda run: run.duration_ms)))


def test_it_reads_on_while_pages_are_empty_and_says_so(page_as: PageAs, history: LongHistory) -> None:
    recorded = runs.of_history(history, looks=50)
    oldest = recorded.runs[-1]
    recorded.runs[-1] = oldest.model_copy(update={"duration_ms": 500_000.0})
    window = page_as("viewer", "/console/workflows")
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
    assert sum("cursor" in query for query in asked(recorded, "/runs")) == 9, "a look at what is new since has none"


def test_runs_that_end_meanwhile_wait_until_they_are_asked_for(opened: Opened, few: Recorded) -> None:
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


def test_what_is_being_written_stays_when_an_answer_comes_in_between(opened: Opened, few: Recorded) -> None:
    page = opened(few, clock=True)
    expect(links(page).first).to_be_visible()
    errors = page.get_by_role("searchbox", name="Error")
    errors.fill("did not")
    few.add(3)
    page.clock.run_for(LOOKED_AGAIN_AFTER + 500)
    expect(page.get_by_role("button", name="3 new runs")).to_be_visible()
    expect(errors).to_have_value("did not")


def test_a_page_that_nobody_sees_does_not_ask(opened: Opened, few: Recorded) -> None:
    page = opened(few, clock=True)
    expect(links(page).first).to_be_visible()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.clock.run_for(LOOKED_AGAIN_AFTER)  # what was under way when it was hidden has come
    before = len(asked(few, "/runs"))
    page.clock.run_for(10 * LOOKED_AGAIN_AFTER)
    assert len(asked(few, "/runs")) == before
    page.evaluate("delete document.hidden")
    with page.expect_request(runs.OF_THE_RECORDER):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_without_a_recorder_each_tab_says_so_and_the_others_are_as_they_were(page_as: PageAs, history: LongHistory) -> None:
    window = page_as("viewer", "/console/workflows")
    history.serve(window.page)
    paths = runs.refused(window.page)
    for tab in ("runs", "monitoring"):
        page = window.goto(f"/console/apps/{history.app_id}/{tab}")
        expect(page.get_by_role("heading", name="No recorder is installed")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        assert axe(page) == []
    paths.clear()
    page = window.goto(f"/console/apps/{history.app_id}/history")
    expect(row_of(page, ROWS)).to_be_visible()
    page.wait_for_function("() => performance.getEntriesByType('resource').some(({ name }) => name.includes('/verdicts'))")
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("navigation", name="App").get_by_role("link", name="History").click()
    expect(row_of(page, ROWS)).to_be_visible()
    settled(page)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert len(paths) == 1, "who was told that there is no recorder does not ask again"


def test_who_was_told_that_there_is_no_recorder_does_not_ask_again(page_as: PageAs, history: LongHistory) -> None:
    window = page_as("viewer", "/console/workflows")
    history.serve(window.page)
    paths = runs.refused(window.page)
    window.page.clock.install()
    page = window.goto(f"/console/apps/{history.app_id}/monitoring")
    expect(page.get_by_role("heading", name="No recorder is installed")).to_be_visible()
    settled(page)
    before = len(paths)
    page.clock.run_for(LOOKED_AT_FIGURES_AFTER + 2_000)
    settled(page)
    assert len(paths) == before


def test_who_may_not_see_runs_is_told_so(page_as: PageAs, history: LongHistory) -> None:
    window = page_as("viewer", "/console/workflows")
    history.serve(window.page)
    runs.refused(window.page, 404, "not_found", "There is no such App, or its runs are not for you.")
    page = window.goto(f"/console/apps/{history.app_id}/runs")
    expect(page.get_by_role("alert")).to_contain_text("its runs are not for you")


def test_pods_older_than_the_recorder_are_told(page_as: PageAs) -> None:
    says = "2 pods are older than the recorder: they are recorded once they restart."
    condition = {"type": "Recorded", "status": "False", "reason": "PodsNotRestarted", "message": says, "since": None}
    window = page_as("viewer", "/console/workflows")
    app = example("GET", "/v1/apps/{app_id}")["data"] | {"conditions": [condition]}
    answered(window.page, "GET", "/v1/apps/{app_id}", 200, {"data": app})
    runs.given(window.page, Recorded(app["id"], [Row(app["live"]["deployment_id"], 1, "v1", datetime.now(UTC))], count=0))
    page = window.goto(f"/console/apps/{app['id']}/runs")
    expect(page.get_by_role("heading", name="No run is recorded yet")).to_be_visible()
    expect(page.get_by_role("region", name="Runs")).to_contain_text(says)


# A run.


def test_a_run_tells_where_its_time_went(opened: Opened, few: Recorded, history: LongHistory) -> None:
    failed = next(run for run in few.runs if run.status == "failed")
    page = opened(few, f"/runs/{failed.id}")
    dialog = page.get_by_role("dialog", name=f"Run {failed.id[:8]}")
    row = dialog.get_by_role("link", name=f"{failed.workflow_version} #{failed.sequence}")
    expect(row).to_have_attribute("href", f"/console/apps/{history.app_id}/history/{failed.deployment_id}")
    expect(dialog.get_by_text("summarize: the model did not answer in 30 s").first).to_be_visible()
    nodes = dialog.get_by_role("table", name="Nodes")
    names = ["classify", "retrieve", "embed", "search", "translate", "summarize"]
    expect(nodes.get_by_role("rowheader")).to_contain_text(names)
    expect(nodes.get_by_role("rowheader", name="search")).to_contain_text("Level 2")
    lanes = nodes.locator(".bar").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().left)")
    assert lanes == sorted(lanes), "bars lie as the nodes began"
    nodes.get_by_role("button", name="What ran in retrieve").press("Enter")
    expect(nodes.get_by_role("rowheader")).to_have_count(len(names) - 2)
    nodes.get_by_role("button", name="summarize").press("Enter")
    expect(dialog.get_by_role("region", name="Node summarize")).to_contain_text("2 attempts")
    expect(dialog.get_by_role("link", name="Trace (JSON)")).to_have_attribute("href", f"/v1/runs/{failed.id}/trace")
    assert axe(page) == []
    dialog.get_by_role("link", name=f"{failed.session_id}").click()
    expect(page).to_have_url(re.compile(f"/runs\\?session_id={failed.session_id}$"))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_inputs_and_outputs_come_when_they_are_asked_for(opened: Opened, few: Recorded) -> None:
    page = opened(few, f"/runs/{few.runs[0].id}")
    expect(page.get_by_role("table", name="Nodes")).to_be_visible()
    expect(page.get_by_text("When does my invoice come?")).to_have_count(0)
    assert not any(dict(query).get("include") for _, _, query in few.asked)
    page.get_by_role("button", name="Show inputs and outputs").click()
    expect(page.get_by_role("region", name="Input of the run")).to_contain_text("When does my invoice come?")
    page.get_by_role("button", name="classify").click()
    expect(page.get_by_role("region", name="Output of classify")).to_contain_text("billing")
    assert axe(page) == []


@pytest.mark.parametrize(("state", "says"), [("not_recorded", "are not recorded"), ("denied", "You may not see inputs and outputs")])
def test_why_there_is_no_content_is_said(opened: Opened, few: Recorded, state: str, says: str) -> None:
    few.content = state
    page = opened(few, f"/runs/{few.runs[0].id}")
    if state == "denied":
        page.get_by_role("button", name="Show inputs and outputs").click()
    expect(page.get_by_role("dialog").get_by_text(says)).to_be_visible()


def test_a_run_is_scored_and_deleted(opened: Opened, few: Recorded) -> None:
    run = few.runs[1]
    page = opened(few)
    page.get_by_role("link", name=run.id[:8]).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Comment").fill("Very polite")
    dialog.get_by_role("button", name="Good", exact=True).click()
    expect(dialog.get_by_role("listitem")).to_contain_text("Very polite")
    dialog.get_by_label("Name of the score").fill("helpful")
    dialog.get_by_label("Value").fill("0.8")
    dialog.get_by_label("Value").press("Enter")
    expect(dialog.get_by_role("listitem").filter(has_text="helpful 0.8")).to_be_visible()
    given = [(score.name, score.value, score.comment) for score in few.scores[run.id]]
    assert given == [("thumbs", 1, "Very polite"), ("helpful", 0.8, None)]
    dialog.get_by_role("button", name="Delete…").click()
    dialog.get_by_role("button", name="Delete this run").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert run.id in few.gone
    expect(page.get_by_role("link", name=run.id[:8])).to_have_count(0)
    expect(links(page).first).to_have_text(*short(few.runs[0]))
