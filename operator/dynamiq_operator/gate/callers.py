"""Manages callers' connections: bounds their cost before the call is known, and detects callers that have left.

A head is buffered and parsed once it is complete, so an unfinished one costs only its bytes. Bytes after the first call of a connection
are dropped: every response ends its connection.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

from aiohttp import web
from aiohttp.streams import StreamReader

from dynamiq_operator.gate import answers
from dynamiq_operator.serving.limits import HEADERS_MAX

HEAD_MAX = 64 * 1024
"""Bytes that are read of an incomplete head. Gateways accept 60 KiB."""
KEYLESS_MAX = 16 * 1024
"""Bytes of the head within which the Access Key of a private App must be."""
BESIDE_MAX = 16 * 1024
"""Bytes allowed between two parts of a body, or after it, such as trailers. They are kept until the body ends."""
READ_MOST = 32 * 1024
"""Bytes of one read from a connection."""
BUFFER = 512
"""Bytes of a body that are read ahead, twice, while its call waits. Few: a byte that arrives alone costs fifty."""
WRITE_MOST = 16 * 1024
"""Bytes of a response that are buffered. Above, reading stops until the caller takes some."""
UNTAKEN = 320 * 1024
"""Bytes, including the kernel's, of a response whose caller takes nothing."""
_RESET = struct.pack("ii", 1, 0)
"""The SO_LINGER value that resets a connection instead of closing it."""
END = re.compile(rb"\n\r?\n")
"""The end of a head."""
CHECKED_EVERY = 1.0
"""Seconds between two checks for a caller that has left."""
_ESTABLISHED = 1
_KEY = re.compile(rb"\nauthorization:[ \t]*bearer[ \t]+([^\s]+)[ \t]*\r?\n", re.IGNORECASE)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_ARRIVING = memoryview(bytearray(READ_MOST))
"""Buffer that all connections share, one read at a time."""


class Callers:
    """The connections of all ports, and the choice which of them ends if there are too many of a kind.

    The oldest one ends, in the namespace that has most of that kind. A namespace with fewer loses none. The kinds: connections without a
    call under way and, counted in bytes, unfinished heads and responses that callers do not take.
    """

    def __init__(self, connections: int, heads: int, answers: int, on_end: Callable[[str], None]) -> None:
        self._most, self._heads_most, self._untaken_most, self._on_end = connections, heads, answers, on_end
        self._count = 0
        self._waiting, self._heads, self._untaken = _Line(), _Line(), _Line()

    def add(self, caller: Caller) -> bool:
        """Counts a new connection. Returns False if there is no room for it."""
        if self._count >= self._most:
            if (oldest := self._waiting.first()) is None:
                return False
            self._end(oldest)
        self._count += 1
        self._waiting.add(caller, 1)
        return True

    def remove(self, caller: Caller) -> None:
        """Stops counting a connection."""
        self._count -= 1
        for line in (self._waiting, self._heads, self._untaken):
            line.remove(caller)

    def grown(self, caller: Caller, by: int) -> None:
        """Counts `by` more bytes of an unfinished head. Another connection may have to end for them."""
        self._heads.add(caller, by)
        self._shrink(self._heads, self._heads_most)

    def read(self, caller: Caller) -> None:
        """Stops counting the bytes of a head that is complete or refused."""
        self._heads.remove(caller)

    def blocked(self, caller: Caller) -> None:
        """Counts a response that its caller does not take. Another connection may have to end for it."""
        self._untaken.add(caller, UNTAKEN)
        self._shrink(self._untaken, self._untaken_most)

    def taken(self, caller: Caller) -> None:
        """Stops counting a response once its caller takes some of it."""
        self._untaken.remove(caller)

    @contextmanager
    def under_way(self, caller: Caller) -> Iterator[None]:
        """Protects a connection while its call is under way."""
        self._waiting.remove(caller)
        try:
            yield
        finally:
            if caller.is_counted:
                self._waiting.add(caller, 1)

    def _shrink(self, line: _Line, most: int) -> None:
        while line.total > most and (oldest := line.first()) is not None:
            self._end(oldest)

    def _end(self, caller: Caller) -> None:
        caller.end()
        self._on_end(caller.namespace)


class _Line:
    """Connections by namespace, oldest first, with the amount that each has."""

    def __init__(self) -> None:
        self._callers: dict[str, dict[Caller, int]] = {}
        self._sums: Counter[str] = Counter()
        self.total = 0

    def add(self, caller: Caller, amount: int) -> None:
        amounts = self._callers.setdefault(caller.namespace, {})
        amounts[caller] = amounts.get(caller, 0) + amount
        self._sums[caller.namespace] += amount
        self.total += amount

    def remove(self, caller: Caller) -> None:
        amounts = self._callers.get(caller.namespace, {})
        amount = amounts.pop(caller, 0)
        self._sums[caller.namespace] -= amount
        self.total -= amount
        if not amounts:
            self._callers.pop(caller.namespace, None)
            del self._sums[caller.namespace]

    def first(self) -> Caller | None:
        """Returns the oldest connection of the namespace with the largest amount; None if there is none."""
        most = max(self._sums, key=lambda each: self._sums[each], default=None)
        return None if most is None else next(iter(self._callers[most]))


class SharedBufferProtocol(asyncio.BufferedProtocol):
    """A protocol that reads into a buffer shared by all connections."""

    def data_received(self, data: bytes) -> None:
        """Handles received bytes."""
        raise NotImplementedError

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Returns the shared buffer."""
        return _ARRIVING

    def buffer_updated(self, nbytes: int) -> None:
        """Passes on a copy of the bytes that were read."""
        self.data_received(bytes(_ARRIVING[:nbytes]))


class Caller(web.RequestHandler, SharedBufferProtocol):
    """One caller's connection. `allows` returns True if a call with this key, or None, may be for the App."""

    __slots__ = ("_allows", "_among", "_beside", "_head", "_is_over", "_payload", "head", "is_counted", "namespace")

    def __init__(self, *arguments: Any, among: Callers, namespace: str, allows: Callable[[str | None], bool], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._among, self.namespace, self._allows = among, namespace, allows
        self._head: bytearray | None = bytearray()
        self.is_counted = self._is_over = False
        self._payload: StreamReader | None = None
        self._beside = 0
        """Bytes since the last ones of the body."""
        self.head = 0
        """Bytes of the head, once it is complete."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ends the connection at once if there is no room: each takes a file and memory before it sends anything."""
        self.is_counted = self._among.add(self)
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=WRITE_MOST)
        if not self.is_counted:
            self.end()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stops counting the connection."""
        self._forget()
        super().connection_lost(exc)

    def end(self) -> None:
        """Resets the connection, so that the other end sees an error. A plain close could look like the end of a response."""
        self._forget()
        if self.transport is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def pause_writing(self) -> None:
        """Notes that the caller takes nothing of its response."""
        super().pause_writing()
        self._among.blocked(self)

    def resume_writing(self) -> None:
        """Notes that the caller has taken some of it."""
        super().resume_writing()
        self._among.taken(self)

    def _forget(self) -> None:
        if self.is_counted:
            self.is_counted = False
            self._among.remove(self)

    def data_received(self, data: bytes) -> None:
        """Buffers a head until it is complete, passes on a body, and drops everything after it."""
        if self._head is not None and data:
            self._head_received(self._head, data if self._head else data.lstrip(b"\r\n"))
        elif not self._is_over and self._payload is not None:
            had = self._payload.total_bytes
            super().data_received(data)
            self._is_over = self._payload.is_eof()
            self._beside = 0 if self._payload.total_bytes > had else self._beside + len(data)
            if self._beside > BESIDE_MAX and not self._is_over:
                self.end()

    def _head_received(self, head: bytearray, data: bytes) -> None:
        before = len(head)
        head += data
        if not head:
            return
        end = END.search(head, max(before - 2, 0))
        size = len(head) if end is None else end.end()
        if head[:1].isalpha():  # anything else is not HTTP, and is refused at once
            if self._is_too_large(head, size, before):
                self._refuse()
                return
            if end is None:
                self._among.grown(self, len(data))
                return
        self.head = size
        self._among.read(self)
        self._head = None
        super().data_received(bytes(head[: self.head]))
        self._payload = self._messages[-1][1] if self._messages else None
        self._is_over = self._payload is None or self._payload.is_eof()
        if len(head) > self.head:
            self.data_received(bytes(head[self.head :]))

    def _is_too_large(self, head: bytearray, size: int, before: int) -> bool:
        """Returns True if the head is too large. `size`: its bytes. `before`: those already accepted."""
        if size > HEAD_MAX or head.count(b"\n", 0, size) > HEADERS_MAX + 2:
            return True
        if not before <= KEYLESS_MAX < size:
            return False
        match = _KEY.search(head, 0, KEYLESS_MAX)
        return not self._allows(None if match is None else match[1].decode("utf-8", "surrogateescape"))

    def _refuse(self) -> None:
        self._among.read(self)
        self._head, self._is_over = None, True
        if self.transport is not None:
            self.transport.write(_TOO_LARGE)
            # Reading goes on, or the sender would see a reset in place of the response. The time limit of a head ends the connection.
            self.transport.write_eof()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answers malformed requests without a log entry: these are senders' errors, and each would log a traceback."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = answers.no_http(status).response()
        response.force_close()
        return response


@asynccontextmanager
async def while_there(request: web.BaseRequest) -> AsyncIterator[None]:
    """Cancels the call when its caller has left."""
    # The server detects this itself, unless it has paused reading a body that is not consumed yet.
    if not request.body_exists or request.content.is_eof():
        yield
        return
    call = asyncio.current_task()

    async def watch() -> None:
        while not _has_left(request):  # noqa: ASYNC110 - only the kernel knows
            await asyncio.sleep(CHECKED_EVERY)
        if call is not None:
            call.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


def _has_left(request: web.BaseRequest) -> bool:
    """Returns True if the caller has closed its end of the connection, according to the kernel."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    if connection is None:
        return True
    try:
        return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED)
    except OSError:
        return True
