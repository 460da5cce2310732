"""An App's run figures over time, and the effect of a deploy on them: in Monitoring, in the history, and in a comparison."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from playwright.sync_api import Locator, Page, expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.console.support import runs
from tests.console.support.reading import cut
from tests.support import factories, rest
from tests.support.browser.histories import LongHistory, total
from tests.support.browser.histories import row as row_of
from tests.support.browser.pages import axe, settled
from tests.support.history_stage import APP, HistoryStage
from tests.support.recorder_answers import Recorded
from tests.support.recorder_runs import Row

CHARTS = ("Invocations", "Failures", "Duration", "Tokens", "Cost")
ROWS = 8
PHONE = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def history(stage: HistoryStage) -> LongHistory:
    """Returns a history whose newest rows are of the last day."""
    stage.app("monitored", factories.public(), workflow="long")
    made = LongHistory(rest.uid(stage.api, kinds.APP.kind, "monitored", stage.namespace), ROWS)
    now = datetime.now(UTC)
    for hours, row in enumerate(made.rows):
        row |= {"duration_seconds": 0, "status": "Superseded" if hours else "Live", "reason": None}
        row["created_at"] = (now - timedelta(hours=3 + 4 * hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return made


@pytest.fixture
def recorded(history: LongHistory) -> Recorded:
    return runs.of_history(history, count=700, apart=timedelta(minutes=2), now=datetime.now(UTC))


def opened(page_as: PageAs, history: LongHistory, recorded: Recorded, rest: str, **options: object) -> Page:
    window = page_as("viewer", None, **options)
    history.serve(window.page)
    runs.given(window.page, recorded)
    page = window.goto(f"/console/apps/{history.app_id}{rest}")
    settled(page)
    return page


def chart(page: Page, name: str) -> Locator:
    return page.get_by_role("figure").filter(has=page.get_by_role("heading", name=re.compile(f"^{name}")))


def test_each_chart_has_the_same_figures_as_a_table_and_at_the_pointer_and_a_mark_at_each_row(
    page_as: PageAs, history: LongHistory, recorded: Recorded
) -> None:
    page = opened(page_as, history, recorded, "/monitoring?range=24+h")
    for name in CHARTS:
        expect(chart(page, name).get_by_role("img")).to_be_visible()
    begin = next(dict(query)["from"] for _, path, query in recorded.asked if path.endswith("/metrics"))
    told = recorded.answer("GET", f"/v1/apps/{history.app_id}/metrics", [("interval", "hour"), ("from", begin)])[1]["data"]
    chart(page, "Invocations").get_by_text("Show as table").click()
    table = chart(page, "Invocations").get_by_role("table")
    points = told["series"][0]["points"]
    for point in points:
        at = point["at"][11:16] + (", so far" if point is points[-1] else "")
        line = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=at, exact=True))
        expect(line.get_by_role("cell").first).to_have_text(str(point["runs"]))
    newest = history.rows[0]
    mark = chart(page, "Invocations").get_by_role("link", name=f"Deploy #{newest['sequence']}")
    expect(mark).to_have_attribute("href", f"/console/apps/{history.app_id}/history/{newest['id']}")
    expect(table.get_by_role("row").filter(has_text=f"#{newest['sequence']}")).to_have_count(1)
    assert axe(page) == []
    drawing = chart(page, "Invocations").get_by_role("img")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 60, box["y"] + 60)
    for name in CHARTS:
        told = chart(page, name).locator(".legend b")
        expect(told.first).to_have_text(re.compile(r"^\d\d:00$"))
        expect(told.nth(1)).to_have_text(re.compile(r"\d"))


def test_time_and_group_are_in_the_address_and_in_the_request(page_as: PageAs, history: LongHistory, recorded: Recorded) -> None:
    page = opened(page_as, history, recorded, "/monitoring?range=24+h")
    page.get_by_role("radio", name="1 h").check(force=True)
    expect(page).to_have_url(re.compile(r"range=1\+h"))
    page.get_by_role("combobox", name="Group by").select_option("workflow_version")
    expect(page).to_have_url(re.compile("group=workflow_version"))
    expect(chart(page, "Duration, p95").locator(".legend")).to_contain_text(re.compile(r"v\d"))
    queries = [dict(query) for _, path, query in recorded.asked if path.endswith("/metrics")]
    # Both are requested every half minute: either may be the later one.
    assert any({"interval": "minute", "group_by": "workflow_version"}.items() <= each.items() for each in queries)
    page.reload()
    settled(page)
    expect(page.get_by_role("radio", name="1 h")).to_be_checked()


def test_marks_that_are_near_each_other_lie_side_by_side_and_lead_to_their_rows(
    page_as: PageAs, history: LongHistory, recorded: Recorded
) -> None:
    for span in ("24+h", "7+d"):
        page = opened(page_as, history, recorded, f"/monitoring?range={span}", viewport=PHONE)
        marks = chart(page, "Invocations").locator(".plot").get_by_role("link")
        expect(marks.first).to_be_visible()
        boxes = sorted((box["x"], box["x"] + box["width"]) for mark in marks.all() if (box := mark.bounding_box()) is not None)
        assert all(right <= left for (_, right), (left, _) in pairwise(boxes)), boxes
        assert 0 <= boxes[0][0] <= boxes[-1][1] <= PHONE["width"]
    several = marks.filter(has_text="–").first
    oldest, newest = (int(sequence) for sequence in re.findall(r"#(\d+)", several.inner_text()))
    several.click()
    expect(total(page)).to_have_text(f"{newest - oldest + 1} deployments")
    expect(row_of(page, newest)).to_be_visible()


def test_lines_differ_by_more_than_their_colour(page_as: PageAs, history: LongHistory, recorded: Recorded) -> None:
    page = opened(page_as, history, recorded, "/monitoring?range=24+h&group=deployment")
    lines = chart(page, "Invocations").locator("g[class^=look] > path:first-child")
    looks = lines.evaluate_all("lines => lines.map((line) => getComputedStyle(line).strokeDasharray)")
    assert len(looks) > 2
    assert len(set(looks)) == len(looks)
    marks = chart(page, "Invocations").locator(".legend path.mark").evaluate_all("all => all.map((mark) => mark.getAttribute('d'))")
    assert len(set(marks)) == len(marks) == len(looks)


def test_it_fits_a_phone_in_the_dark(page_as: PageAs, history: LongHistory, recorded: Recorded) -> None:
    page = opened(page_as, history, recorded, "/monitoring?group=deployment", viewport=PHONE, color_scheme="dark", reduced_motion="reduce")
    expect(chart(page, "Cost").get_by_role("img")).to_be_visible()
    assert cut(page) == []
    assert axe(page) == []


def test_a_row_is_compared_with_another_one(page_as: PageAs, history: LongHistory, recorded: Recorded) -> None:
    newest, _, older = history.rows[:3]
    page = opened(page_as, history, recorded, f"/monitoring?row={newest['id']}")
    panel = page.get_by_role("region", name="Did the deploy make it worse?")
    found = recorded.compared(newest["id"], "previous")
    assert found is not None
    expect(panel).to_contain_text(found.sentence)
    line = panel.get_by_role("row").filter(has=page.get_by_role("rowheader", name="p95"))
    expect(line).to_contain_text("Regressed")
    panel.get_by_role("combobox", name="Against previous").select_option(older["id"])
    against = recorded.compared(newest["id"], older["id"])
    assert against is not None
    expect(panel).to_contain_text(against.sentence)
    expect(page).to_have_url(re.compile(f"baseline={older['id']}"))


def test_rows_of_the_history_have_a_comparison_and_one_request_reads_all_visible_ones(
    page_as: PageAs, history: LongHistory, recorded: Recorded
) -> None:
    page = opened(page_as, history, recorded, "/history")
    newest = row_of(page, history.rows[0]["sequence"])
    expect(newest).to_contain_text("Regressed")
    expect(newest).to_contain_text(re.compile(r"\d+ runs · [\d.]+ % failed · p95 [\d.]+ m?s · \$"))
    queries = [query for _, path, query in recorded.asked if path.endswith("/verdicts")]
    assert len(queries) == 1
    assert {value for _, value in queries[0]} <= {row["id"] for row in history.rows}
    assert len(queries[0]) > 1
    assert axe(page) == []


def test_the_overview_shows_the_last_day_and_the_comparison_of_the_live_row(page_as: PageAs, stage: HistoryStage) -> None:
    stage.app("overviewed", factories.public(), workflow=APP)
    for version in ("v1", "v2"):
        stage.live("overviewed", version, runtime=stage.default_runtime)
    first, second = (row["metadata"]["uid"] for row in stage.rows("overviewed"))
    now = datetime.now(UTC)
    rows = [Row(first, 1, "v1", now - timedelta(days=3)), Row(second, 2, "v2", now - timedelta(hours=9), slower=1.5)]
    recorded = Recorded(rest.uid(stage.api, kinds.APP.kind, "overviewed", stage.namespace), rows, count=900, now=now)
    window = page_as("viewer", None)
    runs.given(window.page, recorded)
    page = window.goto(f"/console/apps/{recorded.app_id}")
    panel = page.get_by_role("region", name=re.compile("^Live: v2"))
    expect(panel).to_contain_text("Regressed")
    expect(panel).to_contain_text(re.compile(r"Last 24 hours: \d+ runs · "))
    assert axe(page) == []
