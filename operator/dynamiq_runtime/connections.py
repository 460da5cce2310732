"""Callers' connections: how many may be there without a call, and how much may come before a call is whole. Nobody has shown a key by then.

Calls themselves are bounded elsewhere: one whose head is whole keeps its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from typing import Any

from aiohttp.web_protocol import RequestHandler

MOST = 1024
"""Connections of a port beyond which one without a call ends for each new one: the oldest of the address that has the most."""
HEAD_MAX = 64 * 1024
"""Bytes of a head; gateways take 60 KiB."""
BESIDE_MAX = 256 * 1024
"""Bytes that may come between two parts of a body, or behind it, such as trailers; a compressed part is as long as 128 KiB."""
PART = 16 * 1024
"""Bytes that are counted at a time."""
FILES = 16 * 1024
"""Files that may be open at once, where the machine allows as many."""


def raise_file_limit() -> None:
    """Raises the limit of open files: each connection is one, and the usual limit is less than `MOST` and what else is open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Connections:
    """The connections of one port, by address."""

    def __init__(self) -> None:
        self._by_address: dict[str, dict[Connection, None]] = {}
        self._count = 0

    def add(self, new: Connection) -> None:
        """Counts a connection, for which another one may have to end."""
        self._by_address.setdefault(new.address, {})[new] = None
        self._count += 1
        if self._count > MOST:
            there = max(self._by_address.values(), key=len)
            if (oldest := next((each for each in there if each is not new and each.is_waiting), None)) is not None:
                oldest.end()

    def remove(self, connection: Connection) -> None:
        """Counts a connection no longer."""
        there = self._by_address.get(connection.address, {})
        if connection in there:
            del there[connection]
            self._count -= 1
            if not there:
                del self._by_address[connection.address]

    def called(self, connection: Connection) -> None:
        """Puts a connection last, which has brought a call."""
        there = self._by_address.get(connection.address, {})
        if connection in there:
            there[connection] = there.pop(connection)


class Connection(RequestHandler):
    """One of them."""

    __slots__ = ("_among", "_kept", "_payload", "address")

    def __init__(self, *given: Any, among: Connections, **options: Any) -> None:
        super().__init__(*given, **options)
        self._among, self.address = among, ""
        self._kept = 0
        """Bytes since the last call was whole, or since the last ones of its body: the parser keeps them."""
        self._payload: Any = None

    @property
    def is_waiting(self) -> bool:
        """Whether no call of it is under way."""
        return not self._request_in_progress and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts the connection."""
        super().connection_made(transport)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self._among.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Counts it no longer."""
        self._among.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on, or ends the connection where too much has come that is neither a call nor a part of one's body."""
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
