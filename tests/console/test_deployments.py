"""The list of hundreds of Apps: a step back in the browser returns to the same place in it."""

from __future__ import annotations

import uuid
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.console.conftest import PageAs
from tests.support.browser.answers import answered, example

STATUSES = ("Live", "Live", "Asleep", "Failed", "Degraded")
MANY = 400  # they are drawn in three steps


def an_app(number: int) -> dict[str, Any]:
    made: dict[str, Any] = example("GET", "/v1/apps")["data"][0]
    live = {**made["live"], "version": f"v{number % 12 + 1}", "created_at": f"2026-11-{number % 28 + 1:02}T10:00:00Z"}
    return made | {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))),
        "name": f"App {number:04}",
        "hostname": f"app-{number}.example.com",
        "status": {"word": STATUSES[number % len(STATUSES)], "reason": None, "message": None},
        "live": live,
    }


def listed(page: Page, count: int) -> None:
    """Answers the page's list of Apps with `count` Apps from now on."""
    pages = {"page": 1, "page_size": 500, "page_count": 1, "total_count": count}
    answered(page, "GET", "/v1/apps", 200, {"data": [an_app(number) for number in range(count)], "pagination": pages})


def rows(page: Page) -> Locator:
    return page.get_by_role("table", name="Deployments").locator("tbody").get_by_role("row")


def opened(page_as: PageAs, count: int, query: str = "") -> Page:
    window = page_as("viewer", None)
    listed(window.page, count)
    return window.goto(f"/console/{query}")


def test_a_step_back_finds_the_list_as_it_was_left(page_as: PageAs) -> None:
    page = opened(page_as, MANY, "?sort=name")
    expect(rows(page)).to_have_count(MANY)
    answered(page, "GET", "/v1/apps/{app_id}", 200, {"data": example("GET", "/v1/apps/{app_id}")["data"]})
    rows(page).nth(350).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1, name="Customer support")).to_be_visible()
    assert page.evaluate("scrollY") == 0
    page.go_back()
    # While it waits for a row that is not drawn yet, Playwright describes the whole page each time: a busy machine gets no time to draw it.
    expect(rows(page)).to_have_count(MANY)
    expect(rows(page).nth(350)).to_be_in_viewport()
