"""Bounds the bodies of requests: their bytes in memory, and the time that they take to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from dynamiq_runtime.errors import HttpError

T = TypeVar("T")
BODY_WITHIN = 60.0
BODY_RATE = 64 * 1024
"""A body must arrive within BODY_WITHIN seconds, plus the time that the largest takes at BODY_RATE bytes a second."""
SMALL = 64 * 1024
"""Bytes of a body that needs no room: its connection buffers as many anyway."""
ROOM_WITHIN = 30.0
RETRY_AFTER = "1"


class Bodies:
    """Room for the bytes of all bodies that are read at the same time; for one event loop."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._turn, self._freed = asyncio.Lock(), asyncio.Event()

    @asynccontextmanager
    async def room_for(self, request: web.Request) -> AsyncIterator[None]:
        """Reserves room for a body while the block runs, in the order of calls. Raises HttpError: 503 if there is none in time."""
        amount = _most_bytes(request)
        if not amount:
            yield
            return
        try:
            async with asyncio.timeout(ROOM_WITHIN), self._turn:
                while self._room < amount:
                    self._freed.clear()
                    await self._freed.wait()
                self._room -= amount
        except TimeoutError:
            raise HttpError(503, "busy", "too many large bodies come at once: try again", retry_after=RETRY_AFTER) from None
        try:
            yield
        finally:
            self._room += amount
            self._freed.set()


def _most_bytes(request: web.Request) -> int:
    """Returns the bytes that a body may become; 0 for a small one, which never waits."""
    length = request.content_length if request.body_exists else 0
    if length is None or "Content-Encoding" in request.headers:  # it has no length, or a different one once decompressed
        return request.client_max_size
    return min(length, request.client_max_size) if length > SMALL else 0


async def in_time(reading: Awaitable[T], most: int) -> T:
    """Returns what `reading` reads of a body of at most `most` bytes. Raises HttpError 408 if it is too slow."""
    try:
        async with asyncio.timeout(BODY_WITHIN + most / BODY_RATE):
            return await reading
    except TimeoutError:
        raise body_too_slow() from None


@asynccontextmanager
async def turn(places: asyncio.Lock | asyncio.Semaphore, within: float, refusal: Callable[[], HttpError]) -> AsyncIterator[None]:
    """Holds one of the places while the block runs. Raises `refusal` if none is free in `within` seconds."""
    try:
        async with asyncio.timeout(within):
            await places.acquire()
    except TimeoutError:
        raise refusal() from None
    try:
        yield
    finally:
        places.release()


def body_too_slow() -> HttpError:
    return HttpError(408, "body_too_slow", "the body came too slowly: send it at once")
