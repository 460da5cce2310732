"""Scripts a journal that only counts: it tells an operator which background runs and conversations there are, as a test says."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.model.journal import placement_digest
from dynamiq_operator.model.objects import Manifest
from tests.support.scripted import HttpServer, Reply, Sent

POLLS = 20.0  # seconds
SINCE = "2026-11-24T12:00:00.000000Z"


class CountingJournal:
    """The counts of open runs and conversations. Each change has another version. `asked`: how often they were answered.

    `placements`: those that were sent, oldest first, each with the uid of its App. `moves`: how many conversations of each pins the next one moves.
    """

    def __init__(self) -> None:
        self._data: list[dict[str, Any]] = []
        self._apps: dict[str, dict[str, Any]] = {}
        self._version, self._changed, self.asked = 0, threading.Condition(), 0
        self.placements: list[tuple[str, dict[str, Any]]] = []
        self.moves: dict[str, int] = {}

    def say(self, data: list[dict[str, Any]]) -> None:
        with self._changed:
            self._data, self._version = data, self._version + 1
            self._changed.notify_all()

    def add_app(self, namespace: str, app: str, app_uid: str) -> None:
        """Adds an App with sessions, whose placement is unknown."""
        with self._changed:
            self._apps[app_uid] = {"namespace": namespace, "app": app, "app_uid": app_uid, "placement": None}
            self._version += 1
            self._changed.notify_all()

    def _place(self, app_uid: str, body: dict[str, Any]) -> Reply:
        with self._changed:
            digest, moved, self.moves = placement_digest(body), self.moves, {}
            self.placements.append((app_uid, body))
            if app_uid in self._apps:
                self._apps[app_uid] = {**self._apps[app_uid], "placement": digest}
            self._version += 1
            self._changed.notify_all()
            return Reply(body={"digest": digest, "moved": moved})

    def answer(self, sent: Sent) -> Reply:
        placed = re.fullmatch(r"/v1/apps/([^/]+)/sessions-placement", sent.path)
        if placed is not None and sent.method == "PUT":
            return self._place(placed[1], sent.body)
        if sent.path != "/v1/open":
            return Reply(404)
        with self._changed:
            self._changed.wait_for(lambda: sent.query.get("after") != str(self._version), POLLS)
            self.asked += 1
            return Reply(body={"version": str(self._version), "data": self._data, "apps": list(self._apps.values())})


@contextlib.contextmanager
def counting(folder: Path) -> Iterator[tuple[CountingJournal, tuple[str, ...]]]:
    """Runs a journal without open runs; yields it, and the flags of an operator that reads it."""
    journal, token = CountingJournal(), folder / "token-of-the-journal"
    folder.mkdir(parents=True, exist_ok=True)
    token.write_text("of-the-operator")
    with HttpServer(journal.answer) as server:
        yield journal, (f"--journal={server.url}", f"--journal-token-file={token}")


def one_run(row: Manifest, app_uid: str, state: str) -> dict[str, Any]:
    """Returns the count of one run on the pins of this row. One that waits has a question to a person."""
    asks = {"questions": 1, "waiting_since": SINCE} if state == "waiting" else {}
    due = {"due": SINCE} if state == "queued" else {}
    meta, spec = row["metadata"], row["spec"]
    whose = {"namespace": meta["namespace"], "app": spec["app"], "app_uid": app_uid, "pins": stored_digest(spec["pinned"])}
    return {**whose, state: 1, "oldest": SINCE, **asks, **due}


def conversations(row: Manifest, app_uid: str, sessions: int, recent: int = 0, **fields: Any) -> dict[str, Any]:
    """Returns the count of conversations on the pins of this row."""
    meta, spec = row["metadata"], row["spec"]
    whose = {"namespace": meta["namespace"], "app": spec["app"], "app_uid": app_uid, "pins": stored_digest(spec["pinned"])}
    return {**whose, "sessions": sessions, "recent_sessions": recent, "last_turn": SINCE, **fields}
