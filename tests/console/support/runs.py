"""Runs of an App in front of a browser: what the recorder would say of them, made up, and only as the API could pass it on."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, Route

from tests.support.browser.answers import JSON, checked
from tests.support.browser.histories import LongHistory
from tests.support.recorder_answers import Recorded
from tests.support.recorder_runs import Row, moment, text

OF_THE_RECORDER = re.compile(
    r"^https?://[^/]+/v1/(runs/.*|apps/[^/]+/(runs|metrics|verdicts|recorder|deployments/[^/]+/comparison))(\\?.*)?$"
)
NO_RECORDER = "No recorder is installed, so there are no runs to be told."


def given(page: Page | BrowserContext, recorded: Recorded) -> None:
    """From now on the page reads these runs."""

    def answer(route: Route) -> None:
        asked, method = urlsplit(route.request.url), route.request.method
        status, body = recorded.answer(method, asked.path, parse_qsl(asked.query), route.request.post_data_json)
        _fulfil(route, method, asked.path, status, body)

    page.route(OF_THE_RECORDER, answer)


def dated(page: Page, recorded: Recorded) -> None:
    """From now on the rows of the App's history are as old as their runs say. The page is the console's."""
    began = {row.id: text(row.since) for row in recorded.rows}
    body = page.evaluate("path => fetch(path).then((answer) => answer.json())", f"/v1/apps/{recorded.app_id}/deployments?page_size=100")
    for row in body["data"]:
        row["created_at"] = began.get(row["id"], row["created_at"])
    pattern = re.compile(rf"/v1/apps/{recorded.app_id}/deployments\?")
    page.route(pattern, lambda route: _fulfil(route, "GET", urlsplit(route.request.url).path, 200, body))


def refused(page: Page | BrowserContext, status: int = 501, code: str = "no_recorder", message: str = NO_RECORDER) -> list[str]:
    """From now on what the page asks of runs is answered so; the paths that it asks for."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        path = urlsplit(route.request.url).path
        asked.append(path)
        _fulfil(route, route.request.method, path, status, {"error": {"code": code, "message": message, "details": {}}})

    page.route(OF_THE_RECORDER, answer)
    return asked


def _fulfil(route: Route, method: str, path: str, status: int, body: Any) -> None:
    checked(method, path, status, body)
    if body is None:
        route.fulfill(status=status)
    else:
        route.fulfill(status=status, headers={"Content-Type": JSON}, body=json.dumps(body))


def of_history(history: LongHistory, now: datetime | None = None, **more: Any) -> Recorded:
    """Runs of a history's rows, the newest of which is the slowest by half; the last run is two hours younger than that row, or of `now`."""
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
    """How many runs there are, as the table's heading says it."""
    return page.get_by_role("heading", name=re.compile("^Runs")).get_by_role("status")
