"""A history of ten thousand rows: only rows in view are rendered, and every row is reached at once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.support import factories, rest
from tests.support.browser.histories import LongHistory, row, table, total
from tests.support.browser.pages import axe
from tests.support.history_stage import HistoryStage, in_full
from tests.support.waiting import eventually

ROWS = 10_000
RENDERED_MOST = 60
HEAP_MOST = 150_000_000
PHONE, DESK = {"width": 360, "height": 700}, {"width": 1280, "height": 800}
COVERED = {360: 88, 1280: 92}
"""Pixels of the window that its headers cover, by the window's width."""

WIDE = pytest.mark.long("the same in a wide window, where rows are lower; in make test on a phone")
SLOWER = "() => { const now = performance.now.bind(performance), from = now(); performance.now = () => from + (now() - from) / 20; }"
"""Slows the page's clock down: on a busy machine rows arrive later, and a second passes quickly."""
SLIPS = """[...document.querySelectorAll(".history-table [data-place]")]
  .sort((one, other) => other.dataset.place - one.dataset.place)
  .map((row, at, all) => at && all[at - 1].dataset.place - row.dataset.place === 1 ?
    row.getBoundingClientRect().top - all[at - 1].getBoundingClientRect().bottom : 0)
  .filter((slip) => slip >= 1 || slip < -0.01)"""
"""Lists by how many pixels rows overlap the row before, even over a part of the line below it, or leave a gap."""

IN_SIGHT = f"""(covered) => {{
  const rows = [...document.querySelectorAll(".history-table [data-place]")];
  if (document.querySelector(".history-table .unread") || {SLIPS}.length) return {{}};
  return Object.fromEntries(rows
    .map((row) => [row.innerText.match(/#(\\d+)/)[1], row.getBoundingClientRect().top])
    .filter(([, top]) => top >= covered && top < innerHeight));
}}"""
"""Returns the places of the rows that begin in the window, by sequence; none until all rendered rows are read and laid out."""

LANDED = """([sequence, top]) => [...document.querySelectorAll(".history-table [data-place]")]
  .some((row) => row.innerText.includes("#" + sequence) && Math.abs(row.getBoundingClientRect().top - top) < 1)"""
"""Returns whether the row with this sequence begins at this place."""


@pytest.fixture(scope="module")
def made(stage: HistoryStage) -> LongHistory:
    stage.app("long", factories.public(), workflow="long")
    return LongHistory(rest.uid(stage.api, kinds.APP.kind, "long", stage.namespace), ROWS)


@pytest.fixture
def history(made: LongHistory) -> LongHistory:
    return made.copy()


def opened(page_as: PageAs, history: LongHistory, query: str = "", **options: object) -> Page:
    window = page_as("viewer", None, **options)
    history.serve(window.page)
    page = window.goto(f"/console/apps/{history.app_id}/history{query}")
    expect(total(page)).to_have_text(re.compile("deployment"))
    return page


def rendered(page: Page) -> int:
    return table(page).get_by_role("row").count()


def in_sight(page: Page) -> dict[str, float]:
    """Returns the place of each row that begins in the window, once there are some and all are read and laid out."""
    assert page.viewport_size is not None
    covered = COVERED[page.viewport_size["width"]]

    def looked() -> dict[str, float]:
        # A list that was just scrolled renders its rows in the next frame, and measures them in it.
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        found: dict[str, float] = page.evaluate(IN_SIGHT, covered)
        return found

    found: dict[str, float] = eventually("rows are in the window, read and laid out", looked)
    return found


def test_both_ends_a_sequence_and_a_day_are_reached_and_few_rows_are_rendered(page_as: PageAs, history: LongHistory) -> None:
    page = opened(page_as, history)
    expect(table(page)).to_have_attribute("aria-rowcount", str(ROWS + 1))
    row(page, ROWS).focus()
    page.keyboard.press("End")
    expect(row(page, 1)).to_be_focused()
    expect(row(page, 1)).to_be_in_viewport()
    expect(row(page, 1)).to_have_attribute("aria-rowindex", str(ROWS + 1))
    assert rendered(page) <= RENDERED_MOST
    page.keyboard.press("ArrowUp")
    expect(row(page, 2)).to_be_focused()
    page.keyboard.press("Home")
    expect(row(page, ROWS)).to_be_focused()
    expect(row(page, ROWS)).to_be_in_viewport()
    assert {query.get("page", "1") for query in history.asked} <= {"1", "2", "199", "200"}, "pages between the ends are not read"
    assert axe(page) == []
    field = page.get_by_label("Go to a sequence or a date")
    field.fill("#5000")
    field.press("Enter")
    expect(row(page, 5000)).to_be_focused()
    expect(row(page, 5000)).to_be_in_viewport()
    field.fill("2026-11-20")
    field.press("Enter")
    expect(row(page, ROWS - 4 * 24 + 11)).to_be_focused()
    field.fill("20000")
    field.press("Enter")
    expect(page.get_by_text("#20000 is not among these rows")).to_be_visible()
    field.fill("soon")
    field.press("Enter")
    expect(page.get_by_text("Write a sequence, such as #12")).to_be_visible()


def test_filters_count_all_rows(page_as: PageAs, history: LongHistory) -> None:
    page = opened(page_as, history)
    page.get_by_role("combobox", name="Created by").select_option("ben@example.com")
    expect(total(page)).to_have_text("3,334 deployments")
    page.get_by_label("Since").fill("2026-11-20T00:00")
    expect(page).to_have_url(re.compile("since=2026-11-20T00%3A00%3A00Z"))
    expect(total(page)).to_have_text(re.compile(r"^3\d deployments$"))
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(total(page)).to_have_text("10,000 deployments")
    page.get_by_role("searchbox").fill("change 77")
    expect(total(page)).to_have_text("111 deployments")
    page.get_by_role("button", name="Oldest").click()
    expect(row(page, 77)).to_be_focused()


@pytest.mark.full_count
def test_scrolling_through_all_of_it_keeps_little(page_as: PageAs, history: LongHistory) -> None:
    page = opened(page_as, history, is_new=True)
    height = page.evaluate("document.documentElement.scrollHeight")
    places = 40 if in_full() else 15
    for place in range(1, places + 1):
        page.evaluate("to => scrollTo(0, to)", height * place / places)
        expect(table(page).locator(".unread")).to_have_count(0)
        assert rendered(page) <= RENDERED_MOST
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    assert session.send("Runtime.getHeapUsage")["usedSize"] <= HEAP_MOST


def test_on_a_phone_rows_of_any_height_keep_their_place(page_as: PageAs, history: LongHistory) -> None:
    page = opened(page_as, history, viewport={"width": 360, "height": 700})
    page.get_by_role("button", name="Oldest").click()
    expect(row(page, 1)).to_be_focused()
    expect(row(page, 1)).to_be_in_viewport()
    for sequence in range(2, 12):
        page.keyboard.press("ArrowUp")
        expect(row(page, sequence)).to_be_focused()
        expect(row(page, sequence)).to_be_in_viewport()


@pytest.mark.parametrize("viewport", [pytest.param(PHONE, id="phone"), pytest.param(DESK, id="desk", marks=WIDE)])
def test_rows_that_are_measured_above_do_not_move_what_is_read(page_as: PageAs, history: LongHistory, viewport: dict[str, int]) -> None:
    page = opened(page_as, history, viewport=viewport)
    page.evaluate("scrollTo(0, 300_000)")
    page.mouse.move(viewport["width"] / 2, viewport["height"] / 2)
    for _ in range(15):
        sequence, top = min(in_sight(page).items(), key=lambda found: found[1])
        page.mouse.wheel(0, -250)
        page.wait_for_function(LANDED, arg=[sequence, top + 250])
        assert in_sight(page)[sequence] == pytest.approx(top + 250, abs=1)
    assert page.evaluate(SLIPS) == []


@pytest.mark.parametrize("viewport", [pytest.param(PHONE, id="phone"), pytest.param(DESK, id="desk", marks=WIDE)])
def test_rows_that_come_in_above_do_not_move_what_is_read(page_as: PageAs, history: LongHistory, viewport: dict[str, int]) -> None:
    page = opened(page_as, history, viewport=viewport)
    page.evaluate("scrollTo(0, 20_000)")
    before = in_sight(page)
    for _ in range(3):
        history.add()
        page.evaluate("dispatchEvent(new Event('offline')); dispatchEvent(new Event('online'))")
        expect(total(page)).to_have_text(f"{history.count:,} deployments")
        assert in_sight(page) == pytest.approx(before, abs=1)
    page.evaluate("scrollTo(0, 0)")
    expect(row(page, history.count)).to_be_in_viewport()
    history.add()
    page.evaluate("dispatchEvent(new Event('offline')); dispatchEvent(new Event('online'))")
    expect(row(page, history.count)).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0, "at the top a new row is to be seen"


def test_a_row_that_is_reached_stays_visible_while_its_neighbours_are_read(page_as: PageAs, history: LongHistory) -> None:
    page = opened(page_as, history, viewport=PHONE)
    page.evaluate(SLOWER)
    history.is_slow = True
    row(page, ROWS).focus()
    for _ in range(59):
        page.keyboard.press("ArrowDown")
    expect(table(page).locator(".unread:focus")).to_be_in_viewport(ratio=1)
    page.keyboard.press("ArrowDown")  # from here on it is held in its place for a second
    history.answer()
    expect(row(page, ROWS - 60)).to_be_focused()
    expect(table(page).locator(".unread")).to_have_count(0)
    expect(row(page, ROWS - 60)).to_be_in_viewport(ratio=0.99)


def test_another_filter_lays_out_its_rows_anew(page_as: PageAs, history: LongHistory) -> None:
    page = opened(page_as, history, "?status=Failed", viewport=PHONE)
    for _ in range(3):
        page.mouse.wheel(0, 600)
        in_sight(page)
    page.get_by_role("searchbox").fill("change 77")
    expect(total(page)).to_have_text(re.compile(r"^\d\d deployments$"))
    in_sight(page)
    assert page.evaluate(SLIPS) == []
