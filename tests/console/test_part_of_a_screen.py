"""What a screen says where one of its reads fails, or comes late, and the others do not: by that read alone, which is tried again by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import PageAs
from tests.support.browser import cast
from tests.support.browser.pages import ORIGIN, axe
from tests.support.browser.stand_in import Query, StandIn
from tests.support.browser.states import APP
from tests.support.waiting import eventually

BUSY = "Too much is asked of the cluster at this moment; ask again."
AWAY = "The API does not answer at this moment"


@pytest.fixture
def page(page_as: PageAs) -> Page:
    """The page of somebody who is signed in."""
    return page_as("viewer", "/console/sign-in").page


@pytest.fixture
def stand_in(page: Page) -> Iterator[StandIn]:
    """What the page is answered."""
    made = StandIn.before(page)
    made.begin(cast.usual())
    yield made
    assert made.surprises == []


def returned(page: Page) -> None:
    """The network of the page was gone, and is back: all that it shows is read again."""
    page.context.set_offline(True)
    expect(page.get_by_text(AWAY)).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text(AWAY)).to_have_count(0)


def test_one_read_that_fails_says_so_above_what_is_known_and_is_alone_in_being_tried_again(page: Page, stand_in: StandIn) -> None:
    def reads(call: str) -> int:
        page.evaluate("0")  # what the page asks is heard while it is spoken to
        return stand_in.asked.count(call)

    page.goto(f"{ORIGIN}{APP}/configuration")
    keys = page.get_by_role("region", name="Access Keys")
    expect(keys.get_by_role("button", name="Revoke website")).to_be_visible()
    stand_in.refuse(503, BUSY, cast.READ_KEYS)
    returned(page)
    told = keys.get_by_role("alert")
    expect(told).to_contain_text(BUSY)
    expect(keys.get_by_role("button", name="Revoke website")).to_be_visible()
    assert axe(page) == []
    others = (cast.READ_CONFIGURATION, cast.READ_RIGHTS, cast.READ_PROJECTS)
    before, tried = [reads(call) for call in others], reads(cast.READ_KEYS)
    eventually("it is tried again by itself", lambda: reads(cast.READ_KEYS) >= tried + 2)
    assert [reads(call) for call in others] == before
    expect(page.get_by_text(AWAY)).to_have_count(0)
    stand_in.hold(cast.READ_KEYS)
    stand_in.answer()
    told.get_by_role("button", name="Retry").click()
    stand_in.let_go()
    expect(told).to_have_count(0)


def test_a_workflow_says_why_it_does_not_say_where_it_is_live(page: Page, stand_in: StandIn) -> None:
    stand_in.refuse(403, BUSY, cast.READ_APPS)
    for path in ("/console/workflows", f"/console/workflows/{cast.WORKFLOW}"):
        page.goto(f"{ORIGIN}{path}")
        told = page.get_by_role("alert").filter(has_text="is live could not be read")
        expect(told).to_contain_text(BUSY)
        stand_in.hold(cast.READ_APPS)
        stand_in.answer()
        told.get_by_role("button", name="Retry").click()
        stand_in.let_go()
        expect(told).to_have_count(0)
        stand_in.refuse(403, BUSY, cast.READ_APPS)


def test_counts_that_are_not_known_are_not_told_as_none(page: Page, stand_in: StandIn) -> None:
    stand_in.refuse(403, BUSY, cast.READ_FILTERS)
    page.goto(f"{ORIGIN}{APP}/history")
    status = page.get_by_role("group", name="Status")
    page.get_by_text(re.compile("^Status: all$")).click()
    expect(status.get_by_label("Failed")).to_be_visible()
    expect(status).not_to_contain_text("0")


def test_the_log_is_of_the_container_that_was_chosen_last_however_late_another_comes(page: Page, stand_in: StandIn) -> None:
    def log(query: Query) -> cast.Json:
        lines = ["of the one before"] if query["previous"] == "true" else ["of this one"]
        return cast.one(cast.data(cast.READ_LOGS) | {"lines": lines})

    stand_in.says(cast.READ_PODS, {"data": [cast.pods()[0] | {"restarts": 2}]})
    stand_in.says(cast.READ_LOGS, log)
    page.goto(f"{ORIGIN}{APP}/rollouts/{cast.ROW}")
    stand_in.hold(cast.READ_LOGS)
    with page.expect_request(stand_in.holds):
        page.get_by_role("button", name="Show the last 200 lines").click()
    with page.expect_request(stand_in.holds) as second:
        page.get_by_label("of the container before the last restart").check()
    assert "previous=true" in second.value.url
    stand_in.let_go()
    expect(page.get_by_role("log")).to_have_text("of the one before")
