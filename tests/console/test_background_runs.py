"""Background runs of an App that have not ended, as a journal tells of them: they appear, their events arrive, and one is canceled."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, Route, expect

from tests.console.conftest import PageAs
from tests.console.support.reading import cut, magnified
from tests.support.browser import answers
from tests.support.browser.answers import Everything, example, open_runs
from tests.support.browser.pages import axe

RUNS, RUN = "/v1/apps/{app_id}/runs", answers.OPEN_RUN
AT = "2026-11-24T22:31:02.204000Z"
MARKUP = '<img src=x onerror="document.title=1"><a href="https://elsewhere.example.net">here</a>'


@dataclass
class Journal:
    """The one background run of an App. `is_open`: the App's list has it."""

    is_open: bool = False
    is_away: bool = False
    more: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    canceled: int = 0

    @property
    def run(self) -> dict[str, Any]:
        return {**example("GET", RUN)["data"], **self.more}

    def tell(self, kind: str, **data: Any) -> None:
        self.events.append({"sequence": len(self.events) + 1, "type": kind, "timestamp": AT, "data": data})

    def serve(self, page: Page) -> None:
        """Answers the page's calls about background runs from now on."""
        calls = {r"runs\?(.*&)?open=true": self._list, f"runs/{self.run['id']}": self._one, "runs/[^/]+/cancel": self._cancel}
        for path, answer in {**calls, r"runs/[^/]+/events\?.*": self._events}.items():
            page.route(re.compile(rf"/v1/apps/[^/]+/{path}(&.*)?$"), answer)

    def _list(self, route: Route) -> None:
        if self.is_away:
            error = {"code": "unavailable", "message": "the journal does not answer: try again", "details": {}}
            route.fulfill(status=503, json=answers.checked("GET", RUNS, 503, {"error": error}))
        else:
            route.fulfill(json=answers.checked("GET", RUNS, 200, open_runs(*[self.run] * self.is_open)))

    def _one(self, route: Route) -> None:
        route.fulfill(json=answers.checked("GET", RUN, 200, {"data": self.run}))

    def _events(self, route: Route) -> None:
        after = int(parse_qs(urlsplit(route.request.url).query)["after"][0])
        body = {"data": self.events[after:], "ended": self.run["ended_at"] is not None}
        route.fulfill(json=answers.checked("GET", f"{RUN}/events", 200, body))

    def _cancel(self, route: Route) -> None:
        self.canceled += 1
        self.more |= {"status": "canceled", "state": "canceled", "ended_at": AT}
        self.is_open = False
        self.tell("run.canceled")
        route.fulfill(json=answers.checked("POST", f"{RUN}/cancel", 200, {"data": self.run}))


def section(page: Page) -> Locator:
    return page.get_by_role("region", name="Background runs", exact=True)


def opened(page_as: PageAs, journal: Journal) -> Page:
    """Returns the Runs tab of an App with this journal."""
    window = page_as("deployer", None)
    everything = Everything(lambda text: text)
    everything.given_to(window.page)
    journal.serve(window.page)
    return window.goto(f"/console/apps/{everything.ids['app']}/runs")


def test_an_open_run_appears_its_events_arrive_and_it_is_canceled(page_as: PageAs) -> None:
    journal = Journal(more={"node": MARKUP, "user_id": MARKUP, "input": {"question": MARKUP}})
    journal.tell("run.accepted")
    page = opened(page_as, journal)
    expect(page.get_by_role("region", name="Runs", exact=True)).to_be_visible()
    expect(section(page)).to_have_count(0)

    journal.is_open = True
    link = section(page).get_by_role("link")
    expect(link).to_have_text(journal.run["id"][:8])
    expect(section(page).get_by_role("cell").nth(1)).to_have_text(MARKUP)
    assert axe(page) == []

    link.click()
    dialog = page.get_by_role("dialog")
    events = dialog.get_by_role("region", name="Events").get_by_role("rowheader")
    expect(events).to_have_text(["run.accepted"])
    journal.tell("node.started", id=MARKUP, attempt=2)
    expect(events).to_have_text(["node.started", "run.accepted"])
    expect(dialog.get_by_role("cell", name=f"{MARKUP} (attempt 2)")).to_be_visible()
    expect(dialog.get_by_role("region", name="Input of the run")).to_contain_text("onerror=")
    expect(dialog.locator("img, a")).to_have_count(0)
    for width in (1280, 320):
        with magnified(page, width):
            assert cut(page) == []
            assert axe(page) == []

    dialog.get_by_role("button", name="Cancel…").click()
    assert journal.canceled == 0
    dialog.get_by_role("button", name="Cancel this run").click()
    expect(events.first).to_have_text("run.canceled")
    expect(dialog.get_by_role("button", name="Cancel…")).to_have_count(0)
    assert journal.canceled == 1
    dialog.get_by_role("button", name="Close").click()
    expect(section(page)).to_have_count(0)


def test_a_journal_that_is_away_is_one_line_until_it_is_back(page_as: PageAs) -> None:
    journal = Journal(is_open=True, is_away=True)
    page = opened(page_as, journal)
    expect(page.get_by_text("Background runs are unknown: the journal does not answer")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    journal.is_away = False
    expect(section(page).get_by_role("link")).to_be_visible()
