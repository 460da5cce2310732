"""Callers' connections: what they may cost before anybody knows whose they are, and whether a caller is still there.

A head is kept as it comes and read once it is whole, so an unfinished one costs as many bytes as it has. What comes behind the first call of
a connection is thrown away: every answer ends its connection.
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

HEAD_MAX = 64 * 1024
"""Bytes that are read of a head which has no end yet; gateways take 60 KiB."""
KEYLESS_MAX = 16 * 1024
"""Bytes of it within which the Access Key of a private App has to be."""
HEADERS_MAX = 128
"""Headers of a head: each takes memory of its own, however short it is."""
BESIDE_MAX = 16 * 1024
"""Bytes that may come between two parts of a body, or behind it, such as trailers: until the body's end they are kept."""
READ_MOST = 32 * 1024
"""Bytes that are read of a connection at a time."""
BUFFER = 512
"""Bytes of a body that are read ahead, twice, while its call waits: few, since each may have come alone, and then takes fifty."""
WRITE_MOST = 16 * 1024
"""Bytes of an answer beyond which no more of it is read, until some of them were taken."""
UNTAKEN = 320 * 1024
"""Bytes, with the kernel's, of an answer of which its caller takes nothing."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER by which a connection is not closed but reset."""
END = re.compile(rb"\n\r?\n")
"""Of a head."""
LOOKED_EVERY = 1.0
"""Seconds between two looks whether a caller is still there."""
_ESTABLISHED = 1
_KEY = re.compile(rb"\nauthorization:[ \t]*bearer[ \t]+([^\s]+)[ \t]*\r?\n", re.IGNORECASE)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_ARRIVING = memoryview(bytearray(READ_MOST))
"""Where every connection is read into, one after the other."""


class Callers:
    """The connections of all ports, and where there are too many of a kind, which one goes.

    It is the oldest of the namespace that has the most of that kind, so that a namespace with fewer loses none. Kinds are connections without
    a call under way, and by their bytes unfinished heads and answers that are not taken.
    """

    def __init__(self, connections: int, heads: int, answers: int, on_end: Callable[[str], None]) -> None:
        self._most, self._heads_most, self._untaken_most, self._on_end = connections, heads, answers, on_end
        self._count = 0
        self._waiting, self._heads, self._untaken = _Line(), _Line(), _Line()

    def add(self, caller: Caller) -> bool:
        """Counts a new connection, and returns whether there is room for it."""
        if self._count >= self._most:
            if (oldest := self._waiting.first()) is None:
                return False
            self._end(oldest)
        self._count += 1
        self._waiting.add(caller, 1)
        return True

    def remove(self, caller: Caller) -> None:
        """Counts a connection no longer."""
        self._count -= 1
        for line in (self._waiting, self._heads, self._untaken):
            line.remove(caller)

    def grown(self, caller: Caller, by: int) -> None:
        """Counts so many more bytes of an unfinished head, for which another one may have to go."""
        self._heads.add(caller, by)
        self._shrink(self._heads, self._heads_most)

    def read(self, caller: Caller) -> None:
        """Counts the bytes of a head no longer: it is whole, or nobody waits for the rest."""
        self._heads.remove(caller)

    def blocked(self, caller: Caller) -> None:
        """Counts an answer of which nothing is taken, for which another one may have to go."""
        self._untaken.add(caller, UNTAKEN)
        self._shrink(self._untaken, self._untaken_most)

    def taken(self, caller: Caller) -> None:
        """Counts an answer no longer of which something was taken."""
        self._untaken.remove(caller)

    @contextmanager
    def under_way(self, caller: Caller) -> Iterator[None]:
        """Keeps a connection while its call is under way."""
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
    """Connections by namespace, the oldest first, and how much of something they have."""

    def __init__(self) -> None:
        self._callers: dict[str, dict[Caller, int]] = {}
        self._sums: Counter[str] = Counter()
        self.total = 0

    def add(self, caller: Caller, amount: int) -> None:
        there = self._callers.setdefault(caller.namespace, {})
        there[caller] = there.get(caller, 0) + amount
        self._sums[caller.namespace] += amount
        self.total += amount

    def remove(self, caller: Caller) -> None:
        there = self._callers.get(caller.namespace, {})
        amount = there.pop(caller, 0)
        self._sums[caller.namespace] -= amount
        self.total -= amount
        if not there:
            self._callers.pop(caller.namespace, None)
            del self._sums[caller.namespace]

    def first(self) -> Caller | None:
        """The oldest one of the namespace that has the most; None where there is none."""
        most = max(self._sums, key=lambda each: self._sums[each], default=None)
        return None if most is None else next(iter(self._callers[most]))


class Reading(asyncio.BufferedProtocol):
    """A connection that is read into a place which all of them share, so a read is no more than that."""

    def data_received(self, data: bytes) -> None:
        """Takes bytes."""
        raise NotImplementedError

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where the next bytes are read into."""
        return _ARRIVING

    def buffer_updated(self, nbytes: int) -> None:
        """Takes bytes that were read."""
        self.data_received(bytes(_ARRIVING[:nbytes]))


class Caller(web.RequestHandler, Reading):
    """One connection. `allows`: whether a call with this key, or with None, may be one of the App's."""

    __slots__ = ("_allows", "_among", "_beside", "_head", "_is_over", "_payload", "head", "is_counted", "namespace")

    def __init__(self, *given: Any, among: Callers, namespace: str, allows: Callable[[str | None], bool], **options: Any) -> None:
        super().__init__(*given, **options)
        self._among, self.namespace, self._allows = among, namespace, allows
        self._head: bytearray | None = bytearray()
        self.is_counted = self._is_over = False
        self._payload: StreamReader | None = None
        self._beside = 0
        """Bytes since the last ones of the body."""
        self.head = 0
        """Bytes of the head, once it is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ends the connection at once where there is no room for it: each takes a file and memory before it says anything."""
        self.is_counted = self._among.add(self)
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=WRITE_MOST)
        if not self.is_counted:
            self.end()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Gives back what the connection had."""
        self._forget()
        super().connection_lost(exc)

    def end(self) -> None:
        """Ends the connection so that it is an error at the other end, also where an answer ends with its connection."""
        self._forget()
        if self.transport is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def pause_writing(self) -> None:
        """Notes that the caller takes nothing of its answer."""
        super().pause_writing()
        self._among.blocked(self)

    def resume_writing(self) -> None:
        """Notes that it has taken some of it."""
        super().resume_writing()
        self._among.taken(self)

    def _forget(self) -> None:
        if self.is_counted:
            self.is_counted = False
            self._among.remove(self)

    def data_received(self, data: bytes) -> None:
        """Keeps a head until it is whole, passes on a body, and throws away what comes behind it."""
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
        found = END.search(head, max(before - 2, 0))
        size = len(head) if found is None else found.end()
        if head[:1].isalpha():  # what begins otherwise is no HTTP, and is answered at once
            if self._is_too_large(head, size, before):
                self._refuse()
                return
            if found is None:
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
        """`size`: bytes that are the head's. `before`: those that were there already, and were not too many."""
        if size > HEAD_MAX or head.count(b"\n", 0, size) > HEADERS_MAX + 2:
            return True
        if not before <= KEYLESS_MAX < size:
            return False
        found = _KEY.search(head, 0, KEYLESS_MAX)
        return not self._allows(None if found is None else found[1].decode("utf-8", "surrogateescape"))

    def _refuse(self) -> None:
        self._among.read(self)
        self._head, self._is_over = None, True
        if self.transport is not None:
            self.transport.write(_TOO_LARGE)
            # What is on its way is read on, or its sender sees a reset in place of the answer; the time for a head ends the connection.
            self.transport.write_eof()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is no HTTP is the sender's mistake, of which our log says nothing: it would have a traceback for each."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = answers.no_http(status).response()
        response.force_close()
        return response


@asynccontextmanager
async def while_there(request: web.BaseRequest) -> AsyncIterator[None]:
    """Ends the call when its caller has left. The server sees that by itself, but where it has stopped reading a body that nobody takes yet."""
    if not request.body_exists or request.content.is_eof():
        yield
        return
    call = asyncio.current_task()

    async def look() -> None:
        while not _has_left(request):  # noqa: ASYNC110 - only the kernel knows
            await asyncio.sleep(LOOKED_EVERY)
        if call is not None:
            call.cancel()

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


def _has_left(request: web.BaseRequest) -> bool:
    """Whether the caller's end of the connection is closed, by what the kernel says of it."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    if connection is None:
        return True
    try:
        return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED)
    except OSError:
        return True
