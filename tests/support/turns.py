"""Sends turns of conversations to pods of an App, and scripts a pod of other pins."""

from __future__ import annotations

import json
from typing import Any

from tests.support.background import KEY
from tests.support.flows import a_flow
from tests.support.runtime import Answer, Served
from tests.support.scripted import Reply, Sent
from tests.support.sessions_journal import Stage
from tests.support.waiting import eventually

A, B, C = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"
ROWS = {A: 11, B: 12, C: 13}


def version(name: str) -> str:
    return a_flow(f"def run(inputs):\n    return [{name!r}, inputs.get('n')]\n")


def started(stage: Stage, pins: str, flow: str | None = None, **variables: str) -> Served:
    """Starts a pod of a row; it has a Service."""
    served = stage.pod(pins, version(pins) if flow is None else flow, **variables)
    stage.journal.place(pins, ROWS[pins], served.port)
    knows_row(served, pins)
    return served


def knows_row(served: Served, pins: str) -> None:
    eventually("it knows its row", lambda: served.request("GET", "/v1/verification").headers["X-Dynamiq-Row"] == str(ROWS[pins]))


def turn(served: Served, session: str | None, path: str = "/", **more: Any) -> Answer:
    """Sends a turn of a conversation, whose id is in the body."""
    body = {"input": {"n": 1}, **({"session_id": session} if session else {}), **more.pop("body", {})}
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **more.pop("headers", {})}
    return served.request("POST", path, json.dumps(body).encode(), headers, **more)


def answered_by(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return (answer.body.get("data", {}).get("output") or answer.body)["result"][0]


class Target:
    """A pod of other pins that a test scripts. `sent`: what reached it."""

    def __init__(self, *replies: Reply) -> None:
        self.sent: list[Sent] = []
        self._replies = list(replies)

    def answer(self, sent: Sent) -> Reply:
        self.sent.append(sent)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
