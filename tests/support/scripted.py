"""Scripts the transport below `kube/`, for unit tests of actions, controller, rest and cli: a test writes the answers.

A `Script` maps a method and a path to answers. It holds no objects and decides nothing, so it is no fake API server: tests of an API
server's behaviour use a real one. `ScriptedServer` serves a script over HTTP, so that the real clients send real bytes. `ScriptedApi` is
the same without a socket, for code with a `kube.api.Api`.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import PLAIN
from dynamiq_operator.model.manifests import Manifest


@dataclass(frozen=True)
class Sent:
    """One request as it arrived. `body`: parsed if it is JSON, else the bytes, None if there is none."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    pairs: Sequence[tuple[str, str]] = ()
    """The query in order, including duplicates."""
    raw: bytes = b""
    """The body as it arrived, over HTTP."""


@dataclass(frozen=True)
class Reply:
    """One answer. `body`: JSON data, or bytes as they are. `stream`: the events of a watch, a line each, instead of `body`.

    `cut`: the connection is closed without an answer.
    """

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Iterable[Any] | None = None
    cut: bool = False

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answer = Reply | Mapping[str, Any] | Callable[[Sent], "Reply | Mapping[str, Any]"]


def failure(status: int, reason: str, message: str = "", causes: Mapping[str, str] | None = None, **headers: str) -> Reply:
    """Returns a Status object as the API server answers with an error; `causes`: a message for each field."""
    details = {"causes": [{"field": name, "message": text} for name, text in (causes or {}).items()]}
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message or reason, "details": details}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def missing(plural: str, name: str) -> Reply:
    """Returns the 404 of one object, which names it; without a name it would be the 404 of an unserved resource."""
    reply = failure(404, "NotFound", f'{plural} "{name}" not found')
    reply.body["details"]["name"] = name
    return reply


def listed(*items: Manifest, version: str = "1", token: str = "") -> dict[str, Any]:
    """Returns one page of a list; `token` continues it."""
    return {"metadata": {"resourceVersion": version, **({"continue": token} if token else {})}, "items": list(items)}


def following(events: queue.SimpleQueue[Any], is_over: Callable[[], bool]) -> Iterator[Any]:
    """Yields the events of a watch from the queue, until None, or until the watch is over."""
    while not is_over():
        with contextlib.suppress(queue.Empty):
            if (event := events.get(timeout=0.02)) is None:
                return
            yield event


EMPTY = ("rejections", "approvals", "deploypolicies", "appchanges")
"""Lists that are empty by default: most clusters have no rules for deploys."""


@dataclass
class _Line:
    method: str
    path: str
    query: Mapping[str, str]
    answers: list[Answer]

    def fits(self, sent: Sent) -> bool:
        return (self.method, self.path) == (sent.method, sent.path) and self.query.items() <= sent.query.items()


class Script:
    """The answers to requests. `sent`: every request, in order; `unscripted`: those without an answer."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.unscripted: list[Sent] = []
        self._lines: list[_Line] = []
        self._lock = threading.Lock()

    def on(self, method: str, path: str, *answers: Answer, query: Mapping[str, str] | None = None) -> Script:
        """Adds answers in order, the last one also to all later requests. A later line precedes an earlier one; `query`: a part of it."""
        self._lines.insert(0, _Line(method, path, query or {}, list(answers) or [Reply()]))
        return self

    def writes(self) -> list[Sent]:
        """Returns the requests that were no reads."""
        return [sent for sent in self.sent if sent.method != "GET"]

    def bodies(self, method: str, path: str) -> list[Any]:
        """Returns the bodies sent to a path by a method, in order."""
        return [sent.body for sent in self.sent if (sent.method, sent.path) == (method, path)]

    def answer(self, sent: Sent) -> Reply:
        """Returns the scripted answer; for a request without one, 501, which no code of ours expects."""
        with self._lock:
            self.sent.append(sent)
            line = next((line for line in self._lines if line.fits(sent)), None)
            if line is None and sent.method == "GET" and sent.path.rpartition("/")[2] in EMPTY:
                return Reply(body=listed())
            if line is None:
                self.unscripted.append(sent)
                return failure(501, "Unscripted", f"the script has no answer to {sent.method} {sent.path} {dict(sent.query)}")
            chosen = line.answers.pop(0) if len(line.answers) > 1 else line.answers[0]
        answered = chosen(sent) if callable(chosen) else chosen
        return answered if isinstance(answered, Reply) else Reply(body=answered)


class ScriptedApi:
    """`kube.api.Api` on a script, without a socket."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = PLAIN,
        accept: str = PLAIN,
    ) -> Manifest:
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        read = {name: str(value) for name, value in (query or {}).items()}
        copied = json.loads(json.dumps(body)) if body is not None else None
        reply = self.script.answer(Sent(method, path, read, headers, copied))
        if reply.cut:
            raise errors.Unavailable(f"{method} {path}: the connection was cut")
        if reply.status >= 400:
            raise errors.from_answer(reply.status, reply.encoded(), f"{method} {path}")
        parsed: Manifest = json.loads(reply.encoded())
        return parsed


class HttpServer:
    """Answers each request over HTTP by `answer`, at `url`. Use it as a context manager; it yields the URL."""

    def __init__(self, answer: Callable[[Sent], Reply], host: str = "127.0.0.1", port: int = 0, unix: Path | None = None) -> None:
        # Only TCP has a delay that can be turned off.
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer), "disable_nagle_algorithm": unix is None})
        self._server = _Unix(unix, handler) if unix is not None else _Tcp((host, port), handler)
        self._host = host
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class ScriptedServer(HttpServer):
    """Serves a script over HTTP, or with `unix` over a socket of that path."""

    def __init__(self, script: Script, unix: Path | None = None) -> None:
        super().__init__(script.answer, unix=unix)
        self.script = script


class _Tcp(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores a client that disconnects in the middle of an answer."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Unix(_Tcp):
    address_family = socket.AF_UNIX

    def __init__(self, path: Path, handler: type[BaseHTTPRequestHandler]) -> None:
        self._path = path
        super().__init__(("localhost", 0), handler)

    def server_bind(self) -> None:
        self.socket.bind(str(self._path))
        self.server_name, self.server_port = "localhost", 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Callable[[Sent], Reply]

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        reply = self.answer(Sent(self.command, parts.path, dict(pairs), dict(self.headers), _parsed(raw), pairs, raw))
        if reply.cut:
            self.close_connection = True
            return
        self.send_response(reply.status)
        body = reply.encoded()
        headers = {"Content-Type": "application/json", **reply.headers}
        if reply.stream is not None:
            headers["Connection"] = "close"
            self.close_connection = True
        else:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.stream is None:
            self.wfile.write(body)
            return
        for event in reply.stream:
            self.wfile.write((event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n")
            self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Prints nothing: the script has the requests."""


def _parsed(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def kubeconfig(server: ScriptedServer) -> dict[str, Any]:
    """Returns a kubeconfig, as data, whose only context is the scripted server."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "scripted",
        "clusters": [{"name": "scripted", "cluster": {"server": server.url}}],
        "users": [{"name": "tester", "user": {"token": "token-of-a-test"}}],
        "contexts": [{"name": "scripted", "context": {"cluster": "scripted", "user": "tester", "namespace": "demo"}}],
    }
