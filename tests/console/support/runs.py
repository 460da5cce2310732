"""Serves made-up runs of an App to a browser, in the recorder's words and only with fields that the API passes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, Route

from tests.support.browser.answers import JSON, OPEN_RUN, checked, example, open_runs
from tests.support.browser.histories import LongHistory
from tests.support.recorder_answers import Recorded
from tests.support.recorder_runs import Row, moment, text

OF_THE_RECORDER = re.compile(
    r"^https?://[^/]+/v1/(runs/.*|apps/[^/]+/(runs|metrics|verdicts|recorder|deployments/[^/]+/comparison))(\\?.*)?$"
)
OF_APP = "/v1/apps/{app_id}"
NO_JOURNAL = {"error": {"code": "no_journal", "message": "No journal is installed.", "details": {}}}
NO_RECORDER = "No recorder is installed, so no runs are recorded."


def given(page: Page | BrowserContext, recorded: Recorded) -> None:
    """Makes the page read these runs from now on. There is no journal, and so no open background run."""

    def answer(route: Route) -> None:
        url, method = urlsplit(route.request.url), route.request.method
        query = parse_qsl(url.query)
        is_open = ("open", "true") in query
        status, body = (501, NO_JOURNAL) if is_open else recorded.answer(method, url.path, query, route.request.post_data_json)
        _fulfil(route, method, url.path, status, body)

    page.route(OF_THE_RECORDER, answer)


def waiting(page: Page, recorded: Recorded, flow: str, since: datetime) -> None:
    """Gives the page one background run of the App that waits for an approval, from now on. `flow`: the hash of its workflow version."""
    path = f"/v1/apps/{recorded.app_id}"
    asked = {"prompt": "Refund 120 euros to customer 4711?", "params": {"amount": 120}, "node": "refund", "name": "Approve the refund"}
    times = {"accepted_at": text(since), "asked_at": text(since), "expires_at": text(since + timedelta(days=30))}
    run = example("GET", OPEN_RUN)["data"] | {
        "status": "paused",
        "state": "waiting",
        "awaiting_input": True,
        "questions_open": 1,
        "node": "refund",
        "workflow_hash": flow,
        "accepted_at": text(since),
        "started_at": text(since),
        "paused_at": text(since),
        "busy_ms": 412,
        "attempts": 1,
        "last_sequence": 5,
    }
    questions = example("GET", f"{OF_APP}/questions")
    questions["data"] = [each | asked | times for each in questions["data"][:1]]
    for end, body in ((r"runs\?(.*&)?open=true(&.*)?", open_runs(run)), (r"questions(\?.*)?", questions)):
        page.route(re.compile(rf"{path}/{end}$"), _always(body))


def _always(body: Any) -> Callable[[Route], None]:
    return lambda route: _fulfil(route, "GET", urlsplit(route.request.url).path, 200, body)


def dated(page: Page, recorded: Recorded) -> None:
    """Dates the rows of the App's history as their runs. The page is the console's."""
    began = {row.id: text(row.since) for row in recorded.rows}
    body = page.evaluate("path => fetch(path).then((answer) => answer.json())", f"/v1/apps/{recorded.app_id}/deployments?page_size=100")
    for row in body["data"]:
        row["created_at"] = began.get(row["id"], row["created_at"])
    pattern = re.compile(rf"/v1/apps/{recorded.app_id}/deployments\?")
    page.route(pattern, lambda route: _fulfil(route, "GET", urlsplit(route.request.url).path, 200, body))


def refused(page: Page | BrowserContext, status: int = 501, code: str = "no_recorder", message: str = NO_RECORDER) -> list[str]:
    """Answers all requests for runs with this error from now on. Returns the list of their paths."""
    paths: list[str] = []

    def answer(route: Route) -> None:
        path = urlsplit(route.request.url).path
        paths.append(path)
        _fulfil(route, route.request.method, path, status, {"error": {"code": code, "message": message, "details": {}}})

    page.route(OF_THE_RECORDER, answer)
    return paths


def _fulfil(route: Route, method: str, path: str, status: int, body: Any) -> None:
    checked(method, path, status, body)
    if body is None:
        route.fulfill(status=status)
    else:
        route.fulfill(status=status, headers={"Content-Type": JSON}, body=json.dumps(body))


def of_history(history: LongHistory, now: datetime | None = None, **more: Any) -> Recorded:
    """Returns runs of a history's rows. The newest row is slowest, by half. The last run is two hours after that row, or at `now`."""
    rows = [
        Row(
            row["id"],
            row["sequence"],
            row["workflow_version"]["version"],
            moment(row["created_at"]),
            1.5 if row is history.rows[0] else 1.0,
        )
        for row in reversed(history.rows)
    ]
    return Recorded(history.app_id, rows, now=now or rows[-1].since + timedelta(hours=2), **more)


def table(page: Page) -> Locator:
    return page.get_by_role("table", name="Runs")


def total(page: Page) -> Locator:
    """Returns the count of runs in the table's heading."""
    return page.get_by_role("heading", name=re.compile("^Runs")).get_by_role("status")
