"""Tracks what a pod does, for the operator: how long it has been ready, how long without a call, and the calls in flight.

A call is in flight from before its body is read until the last byte of its answer is taken; waiting for a thread counts. Probes are no
calls. Neither are requests that are refused before their body is read: a missing path, a wrong Access Key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

PLACES = 3  # of a second


class Activity:
    """The calls of one server, on one event loop. Times are those of a monotonic clock."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._ready_at: float | None = None
        self._last_ended: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        """Marks the pod as ready; only the first time counts."""
        if self._ready_at is None:
            self._ready_at = time.monotonic()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Counts a call as in flight while the block runs."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            self._last_ended = time.monotonic()
            if not self.in_flight:
                self._idle.set()

    async def wait_until_none(self) -> None:
        """Returns once no call is in flight."""
        await self._idle.wait()

    def as_dict(self) -> dict[str, float | int | None]:
        """Returns the calls in flight, and the seconds since it was first ready and since the last call, both None before."""
        if self._ready_at is None:
            return {"ready_seconds": None, "idle_seconds": None, "in_flight": self.in_flight}
        now = time.monotonic()
        idle = 0.0 if self.in_flight else now - max(self._ready_at, self._last_ended or self._ready_at)
        return {"ready_seconds": round(now - self._ready_at, PLACES), "idle_seconds": round(idle, PLACES), "in_flight": self.in_flight}
