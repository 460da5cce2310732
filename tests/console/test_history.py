"""The history of an App: each deployment is shown, filtered by the address, verified, compared, exported and printed."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import FloatRect, Page, expect

from dynamiq_operator.model import kinds
from dynamiq_operator.model.manifests import parse_time
from tests.console.conftest import PageAs
from tests.support import factories, rest
from tests.support.browser.histories import row, table, total
from tests.support.browser.keys import painted
from tests.support.browser.pages import Window, axe, settled
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually

APP = "told"
FORMULA = '=HYPERLINK("https://evil.example","look")'


@dataclass(frozen=True)
class Told:
    """An App with four rows: v1, a failed one, v2, and a rollback to v1."""

    stage: HistoryStage
    app_id: str
    names: tuple[str, ...]

    def address(self, sequence: int, more: str = "") -> str:
        return f"/console/apps/{self.app_id}/history/{self.uid(sequence)}{more}"

    @property
    def reason(self) -> str:
        """Returns why the second row failed."""
        return str(self.stage.row(self.names[1])["spec"]["outcome"]["reason"])

    def uid(self, sequence: int) -> str:
        return str(self.stage.row(self.names[sequence - 1])["metadata"]["uid"])


@pytest.fixture(scope="module")
def told(stage: HistoryStage) -> Told:
    workflow = "told"
    stage.create(factories.workflow_manifest(factories.in_namespace(stage.namespace), name=workflow))
    stage.release("v1", "v2", workflow=workflow)
    stage.app(APP, factories.public(), workflow=workflow)
    fields: dict[str, Any] = {"runtime": stage.default_runtime, "config": {"type": "server"}}
    first = stage.live(APP, "v1", message="The first", **fields)
    live_at = parse_time(stage.row(first)["spec"]["outcome"]["at"])
    # Times have whole seconds: among rows that were live in the same second, the newest counts as the live one.
    eventually("the next row is of another second", lambda: datetime.now(UTC) - live_at >= timedelta(seconds=1))
    failed = stage.deploy(APP, "v1", message="No such config", runtime=stage.default_runtime, config={"idleSeconds": 9})
    stage.until(failed, "Failed")
    second = stage.live(APP, "v2", message=FORMULA, **fields)
    back = stage.live(APP, restores=first, message="v2 was slow")
    return Told(stage, rest.uid(stage.api, kinds.APP.kind, APP, stage.namespace), (first, failed, second, back))


def opened(page_as: PageAs, told: Told, query: str = "", user: str = "deployer", **options: Any) -> Window:
    return page_as(user, f"/console/apps/{told.app_id}/history{query}", **options)


def test_each_row_is_shown_newest_first(page_as: PageAs, told: Told) -> None:
    page = opened(page_as, told).page
    expect(total(page)).to_have_text("4 deployments")
    headings = table(page).get_by_role("columnheader")
    assert [text for text in headings.all_inner_texts() if text.isupper()] == ["DETAILS", "STATUS", "CREATED BY", "RUNTIME", "DATE"]
    rows = table(page).get_by_role("row")
    expect(rows).to_have_count(5)
    for index, pattern in enumerate(
        (r"v1 #4.*Restores #1 · v2 was slow.*Live", r"v2 #3.*Superseded", r"#2.*Failed", r"v1 #1.*Superseded"), 1
    ):
        expect(rows.nth(index)).to_contain_text(re.compile(pattern.replace(" ", r"\s*"), re.DOTALL))
    expect(row(page, 4).get_by_role("link", name=re.compile("^Roll back"))).to_have_count(0)
    expect(row(page, 2).get_by_role("link", name=re.compile("^Roll back"))).to_have_count(0)
    expect(row(page, 2)).to_contain_text(told.reason)
    expect(row(page, 3).get_by_role("link", name="v2", exact=True)).to_have_attribute("href", re.compile("/workflows/[^/]+/versions/"))
    expect(row(page, 1).locator("time")).to_have_attribute("title", re.compile(r"^\d+ \w+ 20\d\d, \d\d:\d\d:\d\d"))
    assert axe(page) == []


def test_filters_stand_in_the_address(page_as: PageAs, told: Told) -> None:
    page = opened(page_as, told).page
    page.get_by_role("searchbox").press_sequentially("such conf")
    expect(total(page)).to_have_text("1 deployment")
    expect(page).to_have_url(re.compile(r"\?q=such\+conf$"))
    page.get_by_role("searchbox").fill("")
    expect(total(page)).to_have_text("4 deployments")
    page.locator("summary", has_text="Status").click()
    page.get_by_role("checkbox", name=re.compile("^Failed")).check()
    expect(page).to_have_url(re.compile(r"\?status=Failed$"))
    expect(total(page)).to_have_text("1 deployment")
    page.reload()
    settled(page)
    expect(total(page)).to_have_text("1 deployment")
    expect(row(page, 2)).to_be_visible()
    page.get_by_role("combobox", name="Version").select_option("v2")
    expect(page.get_by_role("heading", name="No deployment fits these filters")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(total(page)).to_have_text("4 deployments")
    page.go_back()
    expect(page.get_by_role("heading", name="No deployment fits these filters")).to_be_visible()


def test_a_rollback_takes_two_keys_and_a_confirmation(page_as: PageAs, told: Told) -> None:
    page = opened(page_as, told).page
    expect(row(page, 3)).to_be_visible()
    painted(page)
    for _ in range(2):
        page.keyboard.press("j")
    expect(row(page, 3)).to_be_focused()
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog", name="Roll back")
    expect(dialog.get_by_role("button", name="Roll back to v2 (#3)")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(row(page, 3)).to_be_visible()
    page.keyboard.press("j")

    def is_refused() -> bool:
        page.keyboard.press("r")
        return page.get_by_text("You cannot roll back to").count() > 0

    eventually("it is said, which it is for some seconds each time", is_refused)
    page.get_by_role("button", name="Keys").click()
    keys = page.get_by_role("dialog", name="Keys")
    keys.get_by_label("Single letters are keys").uncheck()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).not_to_be_focused()


def test_details_of_a_row_have_an_address_and_lie_over_the_filtered_list(page_as: PageAs, told: Told) -> None:
    page = page_as("viewer", told.address(3, "?q=hyper")).page
    details = page.get_by_role("dialog", name=f"v2 (#3) of {APP}")
    expect(details).to_contain_text(FORMULA)
    pinned = told.stage.row(told.names[2])["spec"]["pinned"]
    expect(details).to_contain_text(pinned["digest"])
    expect(details).to_contain_text(pinned["previousDigest"])
    expect(details).to_contain_text(f"kubectl get deployments.dynamiq {told.names[2]} -n {told.stage.namespace} -o yaml")
    expect(details).to_contain_text("Pinned by its digest.")
    changes = details.get_by_role("region", name="Flow: what changes")
    expect(changes.get_by_role("row", name=re.compile("removed.*v1"))).to_be_visible()
    expect(changes.get_by_role("row", name=re.compile("added.*v2"))).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(details).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/history\?q=hyper$"))
    expect(total(page)).to_have_text("1 deployment")
    row(page, 3).get_by_role("link", name=re.compile("^Details")).click()
    expect(details).to_be_visible()


def test_two_ticked_rows_are_compared_and_a_third_takes_the_place_of_the_first(page_as: PageAs, told: Told) -> None:
    page = opened(page_as, told).page
    for sequence in (4, 1, 3):
        row(page, sequence).get_by_role("checkbox").check()
    expect(row(page, 4).get_by_role("checkbox")).not_to_be_checked()
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(page).to_have_url(re.compile(rf"\?a={told.uid(1)}&b={told.uid(3)}$"))
    sides = page.get_by_role("table").first
    expect(sides.get_by_role("row", name=re.compile(r"^Version \(differs\) v1 v2"))).to_be_visible()
    expect(sides.get_by_role("row", name=re.compile(r"^Min replicas 1 1"))).to_be_visible()
    expect(page.get_by_role("region", name="Flow: what changes").get_by_role("row", name=re.compile("added.*v2"))).to_be_visible()
    expect(page.get_by_text(f"kubectl dynamiq diff {APP} 1 3 -n {told.stage.namespace}")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("link", name="Back to History").click()
    expect(row(page, 1).get_by_role("checkbox")).to_be_checked()


def test_rows_that_were_never_rolled_out_are_compared_as_far_as_they_go(page_as: PageAs, told: Told) -> None:
    page = page_as("viewer", f"/console/apps/{told.app_id}/compare?a={told.uid(1)}&b={told.uid(2)}").page
    expect(page.get_by_role("row", name=re.compile(r"^Status .*Superseded Failed"))).to_be_visible()
    expect(page.get_by_text("A row that was never rolled out has no flow to compare.")).to_be_visible()


def test_the_history_is_verified_against_a_digest_that_was_kept(page_as: PageAs, told: Told) -> None:
    page = opened(page_as, told, user="viewer").page
    page.get_by_role("button", name="Verify", exact=True).click()
    panel = page.get_by_role("region", name="Verify")
    newest = told.stage.row(told.names[3])["spec"]["pinned"]["digest"]
    expect(panel).to_contain_text("4 rows fit")
    expect(panel).to_contain_text(newest)
    kept = told.stage.row(told.names[0])["spec"]["pinned"]["digest"]
    field, verify = panel.get_by_label("Expected digest"), panel.get_by_role("button", name="Verify", exact=True)
    field.fill("sha256:12")
    verify.click()
    expect(panel).to_contain_text("A digest is sha256:")
    field.fill(kept)
    verify.click()
    expect(panel).to_contain_text("#1 has the expected digest")
    expect(panel).to_contain_text(f"kubectl dynamiq verify {APP} -n {told.stage.namespace} --expect {kept}")
    field.fill(f"sha256:{'0' * 64}")
    verify.click()
    expect(panel).to_contain_text("No row has the expected digest")
    expect(page.get_by_role("button", name="It does not fit")).to_be_visible()
    assert axe(page) == []


def exported(page: Page, kind: str) -> str:
    """Exports the history, and returns the file's text."""
    page.get_by_role("button", name="Export", exact=True).click()
    dialog = page.get_by_role("dialog", name="Export")
    dialog.get_by_text(kind, exact=True).click()
    export = dialog.get_by_role("button", name="Export", exact=True)
    with page.expect_download() as waiting:
        export.click()
    assert waiting.value.suggested_filename == f"{APP}-history.{kind.lower()}"
    expect(dialog.get_by_role("status")).to_contain_text("rows are in")
    expect(export).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    return waiting.value.path().read_text(encoding="utf-8-sig")


def test_filtered_rows_are_exported_and_no_spreadsheet_runs_them(page_as: PageAs, told: Told) -> None:
    page = opened(page_as, told, "?status=Live,Superseded").page
    expect(total(page)).to_have_text("3 deployments")
    rows = list(csv.DictReader(io.StringIO(exported(page, "CSV"))))
    assert [(each["sequence"], each["version"], each["provenance"]) for each in rows] == [
        ("4", "v1", "restores #1"),
        ("3", "v2", ""),
        ("1", "v1", ""),
    ]
    assert rows[1]["message"] == f"'{FORMULA}"
    assert rows[0]["digest"] == told.stage.row(told.names[3])["spec"]["pinned"]["digest"]
    found = json.loads(exported(page, "JSON"))
    assert [each["message"] for each in found["deployments"]] == ["v2 was slow", FORMULA, "The first"]
    assert found["filters"] == {"status": "Live,Superseded"}


def test_an_audit_report_is_printed(page_as: PageAs, told: Told) -> None:
    window = page_as("viewer", None, is_new=True)
    window.page.add_init_script("window.print = () => { window.printed = document.querySelector('.report').innerText }")
    page = window.goto(f"/console/apps/{told.app_id}/history?status=Failed")
    page.get_by_role("button", name="Print").click()
    page.get_by_role("dialog").get_by_role("button", name="Print").click()
    printed = eventually("it is printed", lambda: page.evaluate("window.printed"))
    for text in (f"{told.stage.namespace}/{APP}", "status Failed", "4 rows fit", "No such config", told.reason):
        assert text in printed
    assert re.search(r"Printed\s*\d+ \w+ 20\d\d, .* by system:serviceaccount:\S+viewer", printed)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator(".report")).to_have_count(0)


LOCAL = "(time) => { const at = new Date(time); return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19) }"
"""Formats a time as an input does, in the browser's time zone."""


def test_the_live_row_of_a_time_is_shown(page_as: PageAs, told: Told) -> None:
    page = opened(page_as, told, user="viewer").page
    page.get_by_role("button", name="Live at…").click()
    dialog = page.get_by_role("dialog", name=f"What was live of {APP}")
    spec = told.stage.row(told.names[0])["spec"]
    at = spec["outcome"]["at"]
    dialog.get_by_label("Time").fill(page.evaluate(LOCAL, at))
    dialog.get_by_role("button", name="Show").click()
    expect(dialog.get_by_role("link", name="v1 (#1)")).to_have_attribute("href", told.address(1))
    for text in (spec["pinned"]["digest"], "The first", f"kubectl dynamiq at {APP} {at} -n {told.stage.namespace}"):
        expect(dialog).to_contain_text(text)
    assert axe(page) == []
    dialog.get_by_label("Time").fill("2020-01-01T00:00:00")
    dialog.get_by_role("button", name="Show").click()
    expect(dialog.get_by_role("status")).to_contain_text("Nothing was live, the first row went live at")
    dialog.get_by_label("Time").fill("2999-01-01T00:00:00")
    dialog.get_by_role("button", name="Show").click()
    expect(dialog).to_contain_text("in the future")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Live at…")).to_be_focused()


def test_deploys_of_a_time_are_reported_into_a_file(page_as: PageAs, told: Told) -> None:
    page = page_as("deployer", "/console/").page
    page.get_by_role("button", name="Report", exact=True).click()
    dialog = page.get_by_role("dialog", name="Report of deploys")
    assert axe(page) == []
    files = {}
    for kind in ("csv", "md", "json"):
        dialog.get_by_text(kind, exact=True).click()
        with page.expect_download() as waiting:
            dialog.get_by_role("button", name="Make the report").click()
        files[kind] = waiting.value.path().read_text(encoding="utf-8-sig")
        assert waiting.value.suggested_filename.endswith(f".{kind}")
        expect(dialog.get_by_role("status")).to_contain_text(
            re.compile(r"\d+ deploys of \d+ Apps?; \d+ rows fit\. The report is in deploys-")
        )
    mine = [each for each in csv.DictReader(io.StringIO(files["csv"])) if each["app"] == APP]
    assert [(each["sequence"], each["result"]) for each in mine] == [
        ("1", "Succeeded"),
        ("2", "Failed"),
        ("3", "Succeeded"),
        ("4", "Succeeded"),
    ]
    assert mine[2]["message"] == f"'{FORMULA}"
    assert files["md"].startswith("# Deploys")
    assert [each["message"] for each in json.loads(files["json"])["deploys"] if each["app"] == APP][2] == FORMULA
    dialog.get_by_label("Since").fill("")
    dialog.get_by_role("button", name="Make the report").click()
    expect(dialog).to_contain_text("Choose when it begins.")


def read_further_up(page: Page, pixels: int) -> FloatRect:
    """Scrolls up from the end of the page, so that it no longer follows the chosen row. Returns the new place of the oldest row."""
    painted(page)
    box = row(page, 1).bounding_box()
    assert box is not None
    moved: FloatRect = {**box, "y": box["y"] + pixels}
    page.mouse.move(640, 210)
    page.mouse.wheel(0, -pixels)
    eventually("the page has scrolled", lambda: row(page, 1).bounding_box() == pytest.approx(moved, abs=1))
    return moved


def test_a_new_row_comes_in_at_the_top_and_moves_nothing_that_is_read(page_as: PageAs, stage: HistoryStage) -> None:
    stage.create(factories.workflow_manifest(factories.in_namespace(stage.namespace), name="growing"))
    stage.release("v1", workflow="growing")
    stage.app("growing", factories.public(), workflow="growing")
    fields: dict[str, Any] = {"runtime": stage.default_runtime, "config": {"type": "server"}}
    for number in range(1, 8):
        stage.live("growing", "v1", message=f"Change {number}", **fields)
    app = rest.uid(stage.api, kinds.APP.kind, "growing", stage.namespace)
    page = page_as("viewer", f"/console/apps/{app}/history", viewport={"width": 1280, "height": 420}).page
    expect(total(page)).to_have_text("7 deployments")
    stage.live("growing", "v1", message="Change 8", **fields)
    expect(row(page, 8)).to_contain_text("Live")
    expect(row(page, 7)).to_contain_text("Superseded")
    page.get_by_role("button", name="Oldest").click()
    expect(row(page, 1)).to_be_focused()
    before = read_further_up(page, 30)
    stage.live("growing", "v1", message="Change 9", **fields)
    pill = page.get_by_role("button", name=re.compile("1 new deployment$"))
    expect(pill).to_be_visible()
    painted(page)  # rows are measured in the next frame; so is one above that is told to be live, or not to be any more
    eventually("it is where it was", lambda: row(page, 1).bounding_box() == pytest.approx(before, abs=1))
    pill.click()
    expect(row(page, 9)).to_be_in_viewport()


def test_on_a_phone_rows_are_cards(page_as: PageAs, told: Told) -> None:
    window = page_as("deployer", None, is_new=True)
    for width in (320, 360):
        window.page.set_viewport_size({"width": width, "height": 700})
        page = window.goto(f"/console/apps/{told.app_id}/history")
        expect(row(page, 4)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_role("button", name="Filters").click()
        page.get_by_role("combobox", name="Version").select_option("v2")
        expect(total(page)).to_have_text("1 deployment")
        row(page, 3).get_by_role("link", name=re.compile("^Details")).click()
        expect(page.get_by_role("dialog")).to_contain_text("In a terminal")
        assert axe(page) == []
