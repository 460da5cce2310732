"""Limits the cost of a connection to uvicorn's HTTP protocol while its caller is unknown. uvicorn itself has no such limits:

- bytes and headers of a head, and bytes of trailers
- seconds until a head is complete, and until a client takes an answer
- connections of one address, and requests sent ahead of their answers

If an address has too many connections, one that waits the longest without a whole request is closed, not the new one. Behind one address
there may be many callers, and slow ones must not keep the others out.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from uuid import uuid4

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from dynamiq_operator.serving.limits import HEAD_WITHIN, HEADERS_MAX, TAKEN_WITHIN
from dynamiq_operator.serving.problems import HttpProblem
from dynamiq_operator.serving.tls import Certificate

KEEP_ALIVE = 75
"""Seconds of keep-alive: longer than that of an ingress, so that the server never closes a connection first."""
STREAM = "dynamiq.stream"
"""The extension of the ASGI scope whose `begin` is called when a stream begins on the connection."""


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits in seconds, bytes and counts. `address`, `total`: connections. `ahead`: requests sent before the answers to those before them.

    `head_bytes`: of a head, and of all between two parts of a body, such as trailers. `untaken`: bytes of answers, of all connections
    together, that clients have not taken.
    """

    head_within: float = HEAD_WITHIN
    head_bytes: int = 32 * 1024
    headers: int = HEADERS_MAX
    address: int = 256
    total: int = 2048
    ahead: int = 8
    taken_within: float = TAKEN_WITHIN
    untaken: int = 64 * 1024 * 1024


class Connections:
    """The connections of a server, by address. The first one of an address has been without a whole request the longest."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._count = 0
        self._by_address: dict[str, dict[LimitedProtocol, None]] = {}
        self._untaken: dict[LimitedProtocol, int] = {}
        """Bytes of answers that a client has not taken, by connection, the oldest first."""

    def add(self, connection: LimitedProtocol) -> bool:
        """Adds a connection, and returns False if it was closed at once. Another one may have been closed for it."""
        of_address = self._by_address.setdefault(connection.address, {})
        of_address[connection] = None
        self._count += 1
        if len(of_address) > self._limits.address:
            return self._close_one(connection.address, connection)
        if self._count > self._limits.total:
            # Among addresses with equally many, the new connection's own.
            most = max(self._by_address, key=lambda address: (len(self._by_address[address]), address == connection.address))
            return self._close_one(most, connection)
        return True

    def remove(self, connection: LimitedProtocol) -> None:
        of_address = self._by_address.get(connection.address, {})
        if connection in of_address:
            del of_address[connection]
            self._count -= 1
            if not of_address:
                del self._by_address[connection.address]

    def mark_served(self, connection: LimitedProtocol) -> None:
        """Moves a connection to the end: it has had a whole request."""
        of_address = self._by_address.get(connection.address, {})
        if connection in of_address:
            del of_address[connection]
            of_address[connection] = None

    def count_untaken(self, connection: LimitedProtocol, size: int) -> None:
        """Notes the bytes that wait for a client. Above the limit of all, the address with the most loses connections, the oldest first."""
        self._untaken[connection] = size
        while sum(self._untaken.values()) > self._limits.untaken:
            sizes: Counter[str] = Counter()
            for each, bytes_of_it in self._untaken.items():
                sizes[each.address] += bytes_of_it
            most = max(sizes, key=lambda address: (sizes[address], address == connection.address))
            oldest = next(each for each in self._untaken if each.address == most)
            self.forget_untaken(oldest)
            oldest.transport.abort()

    def forget_untaken(self, connection: LimitedProtocol) -> None:
        self._untaken.pop(connection, None)

    def _close_one(self, address: str, new: LimitedProtocol) -> bool:
        """Closes the oldest waiting connection of the address, or another one if none waits. Returns False if that is the new one."""
        # While all of them are served, an address loses one to another address, but never to itself: then the new one is closed.
        of_address = self._by_address[address]
        waiting = next((each for each in of_address if each is not new and each.is_waiting), None)
        oldest = waiting or (new if address == new.address else next(iter(of_address)))
        self.remove(oldest)
        oldest.transport.abort()
        return oldest is not new


class LimitedProtocol(HttpToolsProtocol):
    """One connection, within its limits."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()
    _servers: ClassVar[weakref.WeakKeyDictionary[ServerState, Connections]] = weakref.WeakKeyDictionary()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._is_head = True
        self._kept = 0
        """Bytes since the head began; after the head, since the last bytes of the body. The parser may keep them."""
        self._problem: HttpProblem | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        if (connections := self._servers.get(self.server_state)) is None:
            connections = self._servers[self.server_state] = Connections(self.limits)
        self._among = connections
        if self._among.add(self):
            self._expect_head()

    @property
    def is_waiting(self) -> bool:
        """True if no request of this connection is being served."""
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._among.remove(self)
        self._among.forget_untaken(self)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._is_head and self._head_timer is None and self.is_waiting:
            self._expect_head()
        most = self.limits.head_bytes
        while data and not self.transport.is_closing():
            room = most - self._kept
            self._kept += len(data[:room])
            super().data_received(data[:room])
            data = data[room:]
            if self._kept < most or self.transport.is_closing():
                continue
            if self._is_head:
                self._refuse(HttpProblem(431, f"the request's headers have more than {most} bytes"))
            else:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_head = True
        # A caller who streams is known, and has a limit of their own: the connection leaves the count of unknown callers.
        self.scope["extensions"] = {STREAM: {"begin": partial(self._among.remove, self)}}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header; ignores a trailer of a chunked body, which the parser also passes."""
        if not self._is_head:
            return
        if len(self.headers) >= self.limits.headers:
            self._problem = HttpProblem(431, f"the request has more than {self.limits.headers} headers")
            raise httptools.HttpParserError(str(self._problem))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._kept = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._is_head, self._kept = False, 0
        self._cancel_head_timer()
        names = [name for name, _ in self.headers]
        if names.count(b"host") != 1 and self.parser.get_http_version() == "1.1":
            self._problem = HttpProblem(400, "a request has one header Host")
        elif len(self.pipeline) >= self.limits.ahead:
            self._problem = HttpProblem(400, f"at most {self.limits.ahead} requests are sent before the answers to those before them")
        if self._problem is not None:
            raise httptools.HttpParserError(str(self._problem))
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_head, self._kept = True, 0

    def on_response_complete(self) -> None:
        self._among.mark_served(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are no HTTP request, in the format of all errors."""
        self._refuse(self._problem or HttpProblem(400, msg))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.limits.taken_within, self.transport.abort)
        self._among.count_untaken(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._among.forget_untaken(self)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.head_within, self._too_late)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._kept:
            self._refuse(HttpProblem(408, f"the request's headers were not there within {self.limits.head_within:g} s"))
        else:
            self.transport.abort()

    def _refuse(self, problem: HttpProblem) -> None:
        if not self.is_waiting:
            # The requests before it are not answered yet, and answers must keep their order: this one gets none.
            self.transport.abort()
            return
        answered = problem.response()
        headers: list[tuple[bytes, Any]] = [*answered.raw_headers, (b"connection", b"close")]
        headers.append((b"x-request-id", uuid4().hex.encode()))
        lines = [name + b": " + value + b"\r\n" for name, value in (*self.server_state.default_headers, *headers)]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", bytes(answered.body)]))
        self.transport.close()


def server_config(
    app: Any,
    host: str | None,
    port: int,
    drain: int,
    protocol: type[LimitedProtocol] = LimitedProtocol,
    certificate: Certificate | None = None,
    **more: Any,
) -> Config:
    """Returns uvicorn's configuration of a server within these limits. `host`: None for every address. `drain`: seconds for its last requests.

    `certificate`: None to serve without TLS. `more`: uvicorn's own options.
    """
    return Config(
        app,
        host=host,  # type: ignore[arg-type] # None is every address of every family
        port=port,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=drain,
        ssl_context_factory=(lambda *_: certificate.context) if certificate is not None else None,
        **more,
    )
