"""Whether this pod is on standby: kept warm behind another version, which its annotation says and the kubelet writes into a file.

A pod on standby answers whoever still calls it, and lets go of connections: each answer closes its own, and one that is idle is
closed. So does a pod that ends. A file that is not there, or can't be read, is no standby.
"""

from __future__ import annotations

import asyncio
import fcntl
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

ON_STANDBY = b'dynamiq.getdynamiq.ai/standby="true"'
"""A line of the file: the downward API writes values as Go quotes them, so that no other value can hold such a line."""
LOOK_PERIOD = 0.1  # seconds between two looks at the file: one system call
IDLE_LIMIT = 0.75  # seconds without a call after which a connection is closed: one that is in use ends with its next answer
NOTHING = bytes(4)  # an int, 0
TURNS = 3  # of the event loop, in which a request that was read before its connection was paused begins


class Standby:
    """Follows the file of one pod; `on` says whether it is on standby."""

    def __init__(self, file: Path | None) -> None:
        self.on = False
        self._file = file
        self._seen: object = None
        self._busy: set[RequestHandler] = set()
        self._idle_since: dict[RequestHandler, float] = {}

    @contextmanager
    def request(self, request: web.Request) -> Iterator[None]:
        """A request, whose connection is not idle while the block runs."""
        connection = request.protocol
        self._busy.add(connection)
        try:
            yield
        finally:
            self._busy.discard(connection)

    async def follow(self, connections: Callable[[], list[RequestHandler]]) -> None:
        """Looks at the file for as long as the server runs, and closes what of `connections` is idle on standby."""
        while self._file is not None:
            self._look(self._file)
            if self.on:
                await self._close_idle(connections())
            else:
                self._idle_since.clear()
            await asyncio.sleep(LOOK_PERIOD)

    async def let_go(self, connections: Callable[[], list[RequestHandler]]) -> None:
        """Closes what of `connections` is idle, as on standby, until it is cancelled; nothing follows the file meanwhile."""
        while True:
            await self._close_idle(connections())
            await asyncio.sleep(LOOK_PERIOD)

    def _look(self, file: Path) -> None:
        try:
            found = file.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self.on = ON_STANDBY in file.read_bytes().splitlines()
                self._seen = seen
        except OSError:
            self.on, self._seen = False, None

    async def _close_idle(self, connections: list[RequestHandler]) -> None:
        now = time.monotonic()
        idle = [connection for connection in connections if connection not in self._busy]
        self._idle_since = {connection: self._idle_since.get(connection, now) for connection in idle}
        over = [connection for connection in idle if now - self._idle_since[connection] >= IDLE_LIMIT]
        # What a caller has sent by now is answered: a paused connection reads nothing more, and what was read before begins.
        paused = [(connection, transport) for connection in over if (transport := connection.transport) is not None]
        for _, transport in paused:
            transport.pause_reading()
        for _ in range(TURNS if paused else 0):
            await asyncio.sleep(0)
        for connection, transport in paused:
            if connection not in self._busy and not transport.is_closing() and not _has_unread(transport):
                connection.force_close()
            transport.resume_reading()


def _has_unread(transport: asyncio.Transport) -> bool:
    """Whether the caller has sent bytes that were not read."""
    unread: bytes = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, NOTHING)
    return unread != NOTHING
