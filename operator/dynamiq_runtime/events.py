"""Streams an answer as server-sent events: what nodes emit during the run, and at its end the result or the error.

The frames of `POST /` and of `POST /v1/runs` differ: `frames.py` has both. A line that begins with `:` only shows that the run continues.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Mapping
from typing import Any

from aiohttp import web

from dynamiq_runtime.delivery import write
from dynamiq_runtime.frames import Frames

HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
KEEP_ALIVE_PERIOD = 15.0  # seconds without an event before a comment is sent: proxies close an idle connection after a minute
HEARTBEAT = b": heartbeat\n\n"
BUFFER_EVENTS = 256  # events that a run may be ahead of its reader before it must wait
CLOSED_CHECK_PERIOD = 0.5  # seconds between two checks, by a waiting thread, for a closed stream


class ClosedError(Exception):
    """The caller no longer reads the stream."""


class ChunkStream:
    """The chunks of a run, from its threads to the event loop that created this.

    `first_at`: when its first chunk was written, in nanoseconds since 1970; 0 before.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        self._room = threading.Semaphore(BUFFER_EVENTS)
        self._closed = False
        self.first_at = 0

    def emit(self, chunk: Mapping[str, Any]) -> None:
        """Adds a chunk, from any thread but the loop's; waits while the reader is far behind. Raises ClosedError."""
        while not self._room.acquire(timeout=CLOSED_CHECK_PERIOD):
            if self._closed:
                raise ClosedError
        self._loop.call_soon_threadsafe(self._queue.put_nowait, chunk)

    def close(self) -> None:
        """Ends a thread that waits in `emit`."""
        self._closed = True

    async def relay(self, response: web.StreamResponse, answer: Awaitable[str], frames: Frames) -> str:
        """Writes chunks as they arrive until the answer is complete, and returns it. Raises the errors of `answer`, and ConnectionError."""
        ending = asyncio.ensure_future(answer)
        ending.add_done_callback(lambda _: self._queue.put_nowait(None))
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_PERIOD):
                    chunk = await self._queue.get()
            except TimeoutError:
                await write(response, HEARTBEAT)
                continue
            if chunk is None:
                return await ending
            self._room.release()
            self.first_at = self.first_at or time.time_ns()
            if frame := frames.chunk(chunk):
                await write(response, frame)
