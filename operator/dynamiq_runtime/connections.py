"""Bounds callers' connections: those without a call, and the bytes before a call is complete. Up to then no key was checked.

Calls are bounded elsewhere: one with a complete head keeps its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Callable
from typing import Any

from aiohttp.web_protocol import RequestHandler

MOST = 1024
"""Connections of a port. Above, each new one ends one without a call: the oldest of the address with the most."""
HEAD_MAX = 64 * 1024
"""Bytes of a head; gateways accept 60 KiB."""
BESIDE_MAX = 256 * 1024
"""Bytes between two parts of a body, or after it, such as trailers. A compressed part has up to 128 KiB."""
PART = 16 * 1024
"""Bytes that are counted at a time."""
FILES = 16 * 1024
"""Files that may be open at once, if the machine allows as many."""


def raise_file_limit() -> None:
    """Raises the limit of open files: each connection is one, and the usual limit is lower than `MOST` and all other files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class Connections:
    """The connections of one port, by address."""

    def __init__(self) -> None:
        self._by_address: dict[str, dict[Connection, None]] = {}
        self._count = 0

    def add(self, new: Connection) -> None:
        """Counts a connection. Another one may have to end for it."""
        self._by_address.setdefault(new.address, {})[new] = None
        self._count += 1
        if self._count > MOST:
            neighbours = max(self._by_address.values(), key=len)
            if (oldest := next((each for each in neighbours if each is not new and each.is_waiting), None)) is not None:
                oldest.end()

    def remove(self, connection: Connection) -> None:
        """Stops counting a connection."""
        neighbours = self._by_address.get(connection.address, {})
        if connection in neighbours:
            del neighbours[connection]
            self._count -= 1
            if not neighbours:
                del self._by_address[connection.address]

    def called(self, connection: Connection) -> None:
        """Puts a connection with a new call last."""
        neighbours = self._by_address.get(connection.address, {})
        if connection in neighbours:
            neighbours[connection] = neighbours.pop(connection)


class Connection(RequestHandler):
    """One connection of a caller."""

    __slots__ = ("_among", "_kept", "_payload", "address", "on_lost")

    def __init__(self, *arguments: Any, among: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._among, self.address = among, ""
        self._kept = 0
        """Bytes since the last complete call, or since the last ones of its body: the parser keeps them."""
        self._payload: Any = None
        self.on_lost: Callable[[], None] | None = None
        """Called when the caller has left."""

    @property
    def is_waiting(self) -> bool:
        """True if it has no call under way."""
        return not self._request_in_progress and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts the connection."""
        super().connection_made(transport)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self._among.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stops counting it."""
        self._among.remove(self)
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Reads on. Ends the connection after too many bytes that belong neither to a call's head nor to its body."""
        for start in range(0, max(len(data), 1), PART):
            self._part_received(data[start : start + PART])

    def _part_received(self, part: bytes) -> None:
        calls, had = self._request_count, self._body_bytes
        super().data_received(part)
        if self._request_count > calls:
            self._payload = self._messages[-1][1] if self._messages else None
            self._among.called(self)
        is_read_on = self._request_count > calls or self._body_bytes > had
        self._kept = 0 if is_read_on else self._kept + len(part)
        is_in_body = self._payload is not None and not self._payload.is_eof()
        if self._kept > (BESIDE_MAX if is_in_body else HEAD_MAX):
            self.end()

    @property
    def _body_bytes(self) -> int:
        return getattr(self._payload, "total_bytes", 0)

    def end(self) -> None:
        """Ends the connection."""
        self._among.remove(self)
        if self.transport is not None:
            self.transport.abort()
