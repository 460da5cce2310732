"""Receives callbacks over TLS, at an address of this machine that is no loopback, and stands in for the journal that has them due."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac

from tests.support.scripted import HttpServer, Reply, Sent

KEY = "whsec_" + "c2lnbnMgY2FsbGJhY2tzIG9mIHRoZSB0ZXN0cyBvbmx5ISE="
RUN_ID = "66666666-0000-4000-8000-000000000001"


def own_address() -> str:
    """Returns an address of this machine that other machines reach. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return str(probe.getsockname()[0])


@dataclass(frozen=True)
class Call:
    """A request that a receiver got."""

    path: str
    headers: Mapping[str, str]
    body: bytes


Respond = Callable[[http.server.BaseHTTPRequestHandler], None]


class Receiver:
    """A receiver. `respond`: answers a request whose body was read; by default with 204. `connections`: those that were accepted."""

    def __init__(self, context: ssl.SSLContext | None, host: str) -> None:
        self.calls: list[Call] = []
        self.connections = 0
        self.respond: Respond = status(204)
        self.host = host
        self._server = _server(self, context)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}/hook"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def status(code: int, **headers: str) -> Respond:
    """Returns the function that answers with a status and no body."""

    def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return respond


def is_signed(call: Call, key: str = KEY) -> bool:
    """Verifies a call as a receiver does, by the specification of Standard Webhooks alone."""
    version, _, signature = call.headers["webhook-signature"].partition(",")
    made = hmac.HMAC(base64.b64decode(key.removeprefix("whsec_")), hashes.SHA256())
    made.update(b".".join((call.headers["webhook-id"].encode(), call.headers["webhook-timestamp"].encode(), call.body)))
    assert abs(time.time() - int(call.headers["webhook-timestamp"])) < 300
    return version == "v1" and base64.b64decode(signature) == made.finalize()


def waits(until: threading.Event) -> Respond:
    """Returns the function that answers nothing until something happened."""

    def respond(_: http.server.BaseHTTPRequestHandler) -> None:
        until.wait()

    return respond


def _server(receiver: Receiver, context: ssl.SSLContext | None) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            receiver.calls.append(Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            with contextlib.suppress(OSError):
                receiver.respond(self)

        def log_message(self, *_: Any) -> None:
            return

    class Server(http.server.ThreadingHTTPServer):
        def get_request(self) -> tuple[socket.socket, Any]:
            connection, address = super().get_request()
            receiver.connections += 1
            return connection, address

        def finish_request(self, request: Any, client_address: Any) -> None:
            with contextlib.suppress(OSError):
                if context is not None:
                    request = context.wrap_socket(request, server_side=True)
                super().finish_request(request, client_address)
                request.close()

        def handle_error(self, request: Any, client_address: Any) -> None:
            return

    return Server((receiver.host, 0), Handler)


def a_claim(url: str, n: int = 0, **changed: Any) -> dict[str, Any]:
    """Returns the claim of a callback, as the journal answers it."""
    return {
        "run": an_ended_run(),
        "n": n,
        "id": f"msg_{RUN_ID}_{n}",
        "url": url,
        "token": None,
        "metadata": None,
        "try": 1,
        "private": True,
        **changed,
    }


def an_ended_run(**changed: Any) -> dict[str, Any]:
    fields = {
        "id": RUN_ID,
        "app_id": "a11a11a1-0000-4000-8000-000000000001",
        "status": "completed",
        "reason": "succeeded",
        "started_at": "2026-12-03T00:00:01.000000Z",
        "ended_at": "2026-12-03T00:00:02.000000Z",
        "output": {"answer": 42},
        "error": None,
        "user_id": "ada",
        "session_id": "s-1",
        "node": "internal",
    }
    return {**fields, **changed}


@dataclass
class DueJournal:
    """A journal of one App without background runs: it has callbacks due, and answers what the test says for a new run.

    `due`: claims that nobody has yet. A claim whose pod dies is due again when `leases_end` is called. `accepted`: bodies of new runs.
    """

    due: list[dict[str, Any]] = field(default_factory=list)
    leased: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)
    knows_callbacks: bool = True
    url: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def leases_end(self) -> None:
        """Makes what no pod has told of due again, as the next try."""
        with self._lock:
            self.due += [{**each, "try": each["try"] + 1} for each in self.leased]
            self.leased.clear()

    def answer(self, sent: Sent) -> Reply:
        path = sent.path.split("/", 4)[-1]
        with self._lock:
            return Reply(200, self._answer(path, sent))

    def _answer(self, path: str, sent: Sent) -> Mapping[str, Any]:
        if path == "claims":
            return {"data": [], "next_seconds": 0.05, "callbacks_seconds": 0.0 if self.due else None}
        if path == "sessions/policy":
            return {"version": "1", "policy": None, "epoch": 0}
        if path == "callbacks/claims":
            given, self.due = self.due[: sent.body["free"]], self.due[sent.body["free"] :]
            self.leased += given
            return {"data": given, "next_seconds": 0.0 if self.due else None}
        if path == "callbacks/results":
            self.results += sent.body["results"]
            told = {(each["run_id"], each["n"], each["try"]) for each in sent.body["results"]}
            self.leased = [each for each in self.leased if (each["run"]["id"], each["n"], each["try"]) not in told]
            return {"data": [{"ok": True} for _ in told]}
        if path == "runs":
            self.accepted.append(sent.body)
            callbacks: dict[str, Any] = {"callbacks": []} if self.knows_callbacks else {}
            return {"data": {"id": sent.body["id"], "app_id": "a", "status": "created", **callbacks}}
        self.canceled.append(path)
        return {"data": {"id": path.split("/")[1]}}


@contextlib.contextmanager
def due_journal(*due: dict[str, Any]) -> Iterator[DueJournal]:
    """Serves such a journal while the block runs."""
    journal = DueJournal([*due])
    with HttpServer(journal.answer) as server:
        journal.url = server.url
        yield journal
