"""What a pod is doing, for the operator: since when it is ready, how long it has had no call, and how many are in flight.

A call is in flight from before its body is read until the last byte of its answer is taken, while it waits for a thread as well.
Probes are no calls, nor is what is refused without a look at the body: a path that is not there, a wrong Access Key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

PLACES = 3  # of a second


class Activity:
    """The calls of one server, on one event loop; times of a clock that nobody sets."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._ready_at: float | None = None
        self._last_ended: float | None = None
        self._none_left = asyncio.Event()
        self._none_left.set()

    def begin(self) -> None:
        """The pod is ready from now on; only the first time counts."""
        if self._ready_at is None:
            self._ready_at = time.monotonic()

    @contextmanager
    def call(self) -> Iterator[None]:
        """One call, in flight while the block runs."""
        self.in_flight += 1
        self._none_left.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            self._last_ended = time.monotonic()
            if not self.in_flight:
                self._none_left.set()

    async def wait_until_none(self) -> None:
        """Returns once no call is in flight."""
        await self._none_left.wait()

    def as_dict(self) -> dict[str, float | int | None]:
        """Seconds since the first time that it was ready and since the last call, both None before it is ready; calls in flight."""
        if self._ready_at is None:
            return {"ready_seconds": None, "idle_seconds": None, "in_flight": self.in_flight}
        now = time.monotonic()
        idle = 0.0 if self.in_flight else now - max(self._ready_at, self._last_ended or self._ready_at)
        return {"ready_seconds": round(now - self._ready_at, PLACES), "idle_seconds": round(idle, PLACES), "in_flight": self.in_flight}
