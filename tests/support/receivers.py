"""Receivers of notifications for an operator that is a process: one takes all, one is late, one fails, and one never answers."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.2"
"""Another address than the API server has."""
LATE = 0.3  # seconds
WELL, SLOW, FAILS, NEVER = "well", "late", "fails", "never"
ALL = (WELL, SLOW, FAILS, NEVER)


class Receivers:
    """`taken`: by receiver, what was answered with 204, in the order in which it came."""

    def __init__(self) -> None:
        self.taken: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.headers: dict[str, str] = {}
        self.ended = threading.Event()
        self.port = 0

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.port}/{name}"

    def of(self, name: str, kind: str) -> list[str]:
        """The rows of the events of a type that a receiver took, each once, in the order in which they came first."""
        return list(dict.fromkeys(each["subject"] for each in list(self.taken[name]) if each["type"] == f"ai.dynamiq.deployment.{kind}"))

    def answer(self, name: str, body: bytes, headers: dict[str, str]) -> int:
        if name == NEVER:
            self.ended.wait()
        if name == SLOW:
            time.sleep(LATE)
        if name in (FAILS, NEVER):
            return 500
        self.taken[name].append(json.loads(body))
        self.headers = headers
        return 204


class _Handler(BaseHTTPRequestHandler):
    receivers: Receivers

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.receivers.answer(self.path.strip("/"), body, dict(self.headers.items()))
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """What comes in is what tests look at."""


@contextlib.contextmanager
def receiving() -> Iterator[Receivers]:
    """Serves them until the block is left."""
    made = Receivers()
    server = ThreadingHTTPServer((HOST, 0), type("Handler", (_Handler,), {"receivers": made}))
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
