"""Receives notifications of an operator that is a process: one receiver accepts all, one is late, one fails, and one never answers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.support.scripted import HttpServer, Reply, Sent

HOST = "127.0.0.2"
"""An address that the API server does not have."""
LATE = 0.3  # seconds
WELL, SLOW, FAILS, NEVER = "well", "late", "fails", "never"
ALL = (WELL, SLOW, FAILS, NEVER)


class Receivers:
    """The receivers. `taken`: by receiver, the notifications answered with 204, in the order of their arrival."""

    def __init__(self) -> None:
        self.taken: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.headers: dict[str, str] = {}
        self.ended = threading.Event()
        self.port = 0

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.port}/{name}"

    def of(self, name: str, kind: str) -> list[str]:
        """Returns the rows of the accepted events of a type, each once, in the order of their first arrival."""
        return list(dict.fromkeys(each["subject"] for each in list(self.taken[name]) if each["type"] == f"ai.dynamiq.deployment.{kind}"))

    def answer(self, sent: Sent) -> Reply:
        name = sent.path.strip("/")
        if name == NEVER:
            self.ended.wait()
        if name == SLOW:
            time.sleep(LATE)
        if name in (FAILS, NEVER):
            return Reply(500, b"")
        self.taken[name].append(sent.body)
        self.headers = dict(sent.headers)
        return Reply(204, b"")


@contextlib.contextmanager
def receiving() -> Iterator[Receivers]:
    """Serves them while the block runs."""
    receivers = Receivers()
    with HttpServer(receivers.answer, HOST) as server:
        receivers.port = server.port
        try:
            yield receivers
        finally:
            receivers.ended.set()
