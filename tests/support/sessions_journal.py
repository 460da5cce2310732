"""Scripts a journal for conversations: it keeps whose each is and what its pods report, and counts what it was asked.

It decides as the contract says, "whose, else mine", and no more: a test closes pins, moves conversations, or makes it fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.background import pod
from tests.support.runtime import Served
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.scripted_recorder import problem

POLLS = 20.0  # seconds
BEGAN = "2026-11-24T12:00:00.000000Z"
IDLE = 600


def digest(session: str) -> str:
    """Returns what a conversation is known by."""
    return hashlib.sha256(session.encode()).hexdigest()[:32]


class SessionsJournal:
    """Answers pods, whose tokens are their pins.

    `asked`: requests by what they ask. `seen`, `woken`: reports, and pins that turns wait for. `is_away`: all but claims is refused. `holds`:
    cleared while a test lets no first turn be answered. `tells`: cleared while it lets no read of the policy be answered.
    """

    def __init__(self, *, policy: Mapping[str, Any] | None = None, sessions: bool = True) -> None:
        self.policy: dict[str, Any] | None = {"idle": IDLE, "warm": 300, "when_unknown": "Live", **(policy or {})} if sessions else None
        self.whose: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.seen: list[dict[str, int]] = []
        self.woken: list[str] = []
        self.accepted: list[dict[str, Any]] = []
        self.is_away = False
        self.holds = threading.Event()
        self.holds.set()
        self.tells = threading.Event()
        self.tells.set()
        self.rows: dict[str, int] = {}
        self._services: dict[str, str] = {}
        self._live: str | None = None
        self._closed: list[str] = []
        self._version, self._epoch, self._changed = 1, 1, threading.Condition()

    def place(self, pins: str, sequence: int, port: int | None = None) -> None:
        """Gives pins a row, and a Service with this port."""
        self.rows[pins] = sequence
        if port is not None:
            self._services[pins] = f"127.0.0.1:{port}"
        self._live = self._live or pins
        self.change()

    def close(self, pins: str, live: str) -> None:
        """Moves all conversations off some pins."""
        self._closed, self._live, self._epoch = [*self._closed, pins], live, self._epoch + 1
        self.whose = {each: of for each, of in self.whose.items() if of != pins}
        self.change()

    def change(self) -> None:
        """Answers all who wait for a change of the policy."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def answer(self, sent: Sent) -> Reply:
        own = sent.headers["Authorization"].removeprefix("Bearer ")
        what = sent.path.split("/")[4:]
        if self.is_away and what[0] != "claims":
            self.asked["refused"] += 1
            return problem(503, "it starts", "starting")
        match [sent.method, *what]:
            case ["POST", "claims"]:
                return Reply(body={"data": [], "next_seconds": 0.1, "sessions": self.policy is not None})
            case ["POST", "runs"]:
                return self._accept(own, sent.body)
            case ["GET", "sessions", "policy"]:
                return self._tell(sent)
            case ["PUT", "sessions", session]:
                return self._whose(own, session)
            case ["POST", "sessions", "seen"]:
                self.asked["seen"] += 1
                self.seen.append(sent.body["sessions"])
                return Reply(body={"epoch": self._epoch})
            case ["POST", "sessions", "wake"]:
                self.asked["wake"] += 1
                self.woken.append(sent.body["pins"])
                return Reply()
        return problem(404, f"there is no {sent.method} {sent.path}", "not_found")

    def _whose(self, own: str, session: str) -> Reply:
        self.asked["session"] += 1
        self.holds.wait(POLLS)
        if self.policy is None:
            return problem(404, "this App has no conversations", "no_sessions")
        with self._changed:
            if session not in self.whose and own in self._closed:
                reply = problem(409, "these pins are closed", "moved")
                details = {"pins": self._live, "service": self._services.get(self._live or "")}
                reply.body["error"]["details"] = details
                return reply
            is_new = session not in self.whose
            pins = self.whose.setdefault(session, own)
            data = {"pins": pins, "sequence": self.rows.get(pins), "service": self._services.get(pins), "began_at": BEGAN, "is_new": is_new}
            return Reply(body={"data": data, "epoch": self._epoch})

    def _tell(self, sent: Sent) -> Reply:
        self.tells.wait(POLLS)
        with self._changed:
            if "after" in sent.query:
                self._changed.wait_for(lambda: sent.query["after"] != str(self._version), float(sent.query["wait"]))
            else:
                self.asked["policy"] += 1
            fields = {"policy": self.policy, "epoch": self._epoch, "live": self._live, "closed": self._closed, "taken": None}
            return Reply(body={"version": str(self._version), **fields, "rows": self.rows, "services": self._services})

    def _accept(self, own: str, run: Mapping[str, Any]) -> Reply:
        self.accepted.append(dict(run))
        pins = self.whose.setdefault(digest(run["session_id"]), own) if run.get("session_id") else own
        shown = {**run, "status": "created", "pins": pins, "accepted_at": BEGAN, "app_id": "a"}
        return Reply(201, {"data": shown})


class Url:
    """The address of a journal."""

    def __init__(self, url: str) -> None:
        self.url = url


class Stage:
    """A journal, and the pods of an App's versions in this test's folder."""

    def __init__(self, folder: Path, journal: SessionsJournal, url: str, stack: contextlib.ExitStack) -> None:
        self.journal, self.url = journal, Url(url)
        self._folder, self._stack, self._pods = folder, stack, 0

    def pod(self, pins: str, flow: str, **variables: str) -> Served:
        """Starts a pod of these pins."""
        self._pods += 1
        folder = self._folder / f"pod-{self._pods}"
        variables = {"DYNAMIQ_PINS": pins, "DYNAMIQ_WORKFLOW_VERSION": pins, **variables}
        return self._stack.enter_context(pod(folder, flow, self.url, token=pins, **variables))


@contextmanager
def staged(folder: Path, journal: SessionsJournal) -> Iterator[Stage]:
    """Runs a journal; yields it with a way to start pods."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_server(journal))
        yield Stage(folder, journal, server.url, stack)


@contextmanager
def _server(journal: SessionsJournal) -> Iterator[HttpServer]:
    with HttpServer(journal.answer) as server:
        try:
            yield server
        finally:
            journal.holds.set()
            journal.tells.set()
            journal.change()
