"""Detects that this pod is standby behind another version, from an annotation that the kubelet writes into a file.

A standby pod still answers callers, and closes connections: each with its answer, and those that are idle. A pod that ends does the same. Without
a readable file the pod is not standby.
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
"""A line of the file. The downward API quotes values like Go, so no other value can contain such a line."""
LOOK_PERIOD = 0.1  # seconds between two checks of the file, each a system call
IDLE_LIMIT = 0.75  # seconds without a call after which a connection is closed; one in use ends with its next answer
NOTHING = bytes(4)  # an int, 0
TURNS = 3  # turns of the event loop until a request that was read before its connection was paused begins


class Standby:
    """The standby state of one pod, from its file. `on`: True if it is standby."""

    def __init__(self, file: Path | None) -> None:
        self.on = False
        self._file = file
        self._seen: object = None
        self._busy: set[RequestHandler] = set()
        self._idle_since: dict[RequestHandler, float] = {}

    @contextmanager
    def request(self, request: web.Request) -> Iterator[None]:
        """Marks the request's connection as busy while the block runs."""
        connection = request.protocol
        self._busy.add(connection)
        try:
            yield
        finally:
            self._busy.discard(connection)

    async def follow(self, connections: Callable[[], list[RequestHandler]]) -> None:
        """Checks the file while the server runs, and closes idle ones of `connections` on standby."""
        while self._file is not None:
            self._check_file(self._file)
            if self.on:
                await self._close_idle(connections())
            else:
                self._idle_since.clear()
            await asyncio.sleep(LOOK_PERIOD)

    async def let_go(self, connections: Callable[[], list[RequestHandler]]) -> None:
        """Closes idle ones of `connections`, as on standby, until it is cancelled. The file is not checked meanwhile."""
        while True:
            await self._close_idle(connections())
            await asyncio.sleep(LOOK_PERIOD)

    def _check_file(self, file: Path) -> None:
        try:
            status = file.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
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
        # Requests sent so far are answered: a paused connection reads nothing more, and whatever was read before begins.
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
    """Returns True if the caller has sent bytes that were not read."""
    unread: bytes = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, NOTHING)
    return unread != NOTHING
