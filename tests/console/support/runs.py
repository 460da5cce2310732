"""Serves made-up runs of an App to a browser, in the recorder's words and only with fields that the API passes on."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, Route

from tests.support.browser.answers import JSON, OPEN_RUN, answered, checked, example, open_runs
from tests.support.browser.histories import LongHistory
from tests.support.recorder_answers import Recorded
from tests.support.recorder_runs import Row, moment, text

OF_THE_RECORDER = re.compile(
    r"^https?://[^/]+/v1/(runs/.*|apps/[^/]+/(runs|metrics|verdicts|recorder|deployments/[^/]+/comparison))(\\?.*)?$"
)
OPEN_RUNS = re.compile(r"/v1/apps/[^/]+/runs\?(.*&)?open=true(&.*)?$")
QUESTIONS = "/v1/apps/{app_id}/questions"
SESSIONS = "/v1/apps/{app_id}/sessions"
MESSAGES = f"{SESSIONS}/{{session_id}}/messages"
CONVERSATIONS = "/v1/apps/{app_id}/conversations"
SAID_IN_SESSIONS = (
    ("chat-7f31c9", 3, 0, "Where is my invoice of October?"),
    (
        "lena.fischer@example.com",
        12,
        1,
        "Invoice 2026-1187 was paid twice. I would like to have the second payment back, and a letter that says so.",
    ),
    ("chat-7f31a0", 1, 0, "Do you deliver to Iceland?"),
    ("whatsapp:+49 151 5550 1187", 5, 0, "The same for invoice 2026-1192, please"),
    ("chat-7f2e44", 2, 2, "How do I change my address?"),
)
"""For each session in a picture: its id, how many runs, how many of them failed, and the first question."""

TURNS = (
    ("Where is my invoice of October?", "Invoice 2026-1187 was sent on 2 November, to lena.fischer@example.com."),
    ("It is not there.", "I have sent it again. It may take a minute, and it may be among your spam."),
    ("Thank you, there it is! Can I pay it in two parts?", "Yes: half of it now, and half of it within 30 days. Shall I note that?"),
)
REFUND = {
    "id": "refund:1",
    "node": "refund",
    "name": "Refund the customer",
    "prompt": "Refund 120 EUR to Lena Fischer? Invoice 2026-1187 was paid twice.",
    "params": {"customer": "Lena Fischer", "invoice": "2026-1187", "amount": 120},
    "editable_params": ["amount"],
}
"""The question of the run of `asking`: an approval."""
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


def dated(page: Page, recorded: Recorded) -> None:
    """Dates the rows of the App's history as their runs. The page is the console's."""
    began = {row.id: text(row.since) for row in recorded.rows}
    body = page.evaluate("path => fetch(path).then((answer) => answer.json())", f"/v1/apps/{recorded.app_id}/deployments?page_size=100")
    for row in body["data"]:
        row["created_at"] = began.get(row["id"], row["created_at"])
    pattern = re.compile(rf"/v1/apps/{recorded.app_id}/deployments\?")
    page.route(pattern, lambda route: _fulfil(route, "GET", urlsplit(route.request.url).path, 200, body))


def asking(page: Page, recorded: Recorded) -> None:
    """Lets a run of the App's oldest row wait for a person from now on, for half a day already.

    A run of the newest row is open, too. The page is the console's.
    """
    path = f"/v1/apps/{recorded.app_id}/deployments?page_size=100"
    rows = page.evaluate("path => fetch(path).then((answer) => answer.json())", path)["data"]
    flows = {row["id"]: row["flow_hash"].rpartition(":")[2] for row in rows if row["flow_hash"]}
    asked = text(recorded.now - timedelta(hours=11, minutes=40))
    question = example("GET", QUESTIONS)["data"][0] | REFUND | {"accepted_at": asked, "asked_at": asked}
    question["expires_at"] = text(recorded.now + timedelta(days=30))
    of_run = {"id": question["run_id"], "pins": question["pins"], "node": question["node"], "accepted_at": asked}
    waits = {"status": "paused", "state": "waiting", "awaiting_input": True, "questions_open": 1}
    begun = text(recorded.now - timedelta(seconds=20))
    newest = {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, recorded.app_id)), "pins": "fedcba9876543210", "accepted_at": begun, "attempts": 1}
    usual = example("GET", OPEN_RUN)["data"]
    runs = [
        usual | newest | {"workflow_hash": flows[recorded.rows[-1].id]},
        usual | of_run | waits | {"workflow_hash": flows[recorded.rows[0].id], "attempts": 1},
    ]
    answered(page, "GET", QUESTIONS, 200, open_runs(question))
    page.route(OPEN_RUNS, lambda route: _fulfil(route, "GET", urlsplit(route.request.url).path, 200, open_runs(*runs)))


def conversing(page: Page, recorded: Recorded) -> None:
    """Gives the App sessions from now on, of which some stay on its oldest row. The page is the console's."""
    rows = [{"sequence": each.sequence, "version": each.version} for each in (recorded.rows[0], recorded.rows[-1])]
    usual = example("GET", SESSIONS)["data"][0]

    def session(number: int, name: str, runs: int, failed: int, question: str) -> Any:
        last = recorded.now - timedelta(minutes=7 * number + 1)
        began = text(last - timedelta(minutes=3 * runs))
        more = {"id": name, "session_id": name, "created_at": began, "first_at": began, "last_at": text(last), "row": rows[-1]}
        return usual | more | {"input": {"question": question}, "runs": runs, "failed": failed}

    sessions = [session(number, *each) for number, each in enumerate(SAID_IN_SESSIONS)]
    begun = recorded.now - timedelta(hours=5)
    usual = example("GET", MESSAGES)["data"][0]
    messages = []
    for number, (question, answer) in enumerate(TURNS):
        run = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{recorded.app_id} {number}"))
        turn = {"id": run, "trace_id": run, "created_at": text(begun + timedelta(minutes=4 * number)), "row": rows[0]}
        messages.append(usual | turn | {"input": {"question": question}, "output": {"answer": answer}})
    counts = [
        {"pins": pins, "sequence": row["sequence"], "sessions": count, "recent": recent, "moved": 0, "row": row, "deployment_id": of.id}
        | {"last_turn": text(recorded.now - timedelta(minutes=minutes))}
        for pins, row, of, count, recent, minutes in (
            ("fedcba9876543210", rows[1], recorded.rows[-1], 214, 37, 1),
            ("0123456789abcdef", rows[0], recorded.rows[0], 12, 3, 4),
        )
    ]
    pages = {"page": 1, "page_size": 50, "page_count": 1, "counted_to": 10_000}
    answered(page, "GET", SESSIONS, 200, {"data": sessions, "pagination": pages | {"total_count": len(sessions)}})
    answered(page, "GET", MESSAGES, 200, {"data": messages, "pagination": pages | {"total_count": len(messages), "next_cursor": None}})
    answered(page, "GET", CONVERSATIONS, 200, {"data": counts})


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
