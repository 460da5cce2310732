"""A queue of keys: each waits at most once, is worked on by one worker at a time, and can be put off or retried."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from dynamiq_operator.kube.errors import backoff

K = TypeVar("K", bound=Hashable)


class Queue(Generic[K]):
    """Keys that want work. `add` while a key is worked on makes it come once more afterwards."""

    def __init__(self) -> None:
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._later: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: K) -> None:
        """Asks for work on `key` now."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Asks for work on `key` after a while, or at an earlier moment asked for already."""
        at = asyncio.get_running_loop().time() + seconds
        if key in self._later and self._later[key] <= at:
            return
        self._later[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        self._changed.set()

    async def get(self) -> K:
        """The next key; the worker calls `done` with it afterwards."""
        while True:
            wait = self._promote()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._working.add(key)
                return key
            self._changed.clear()
            # `wait_for` can swallow a cancellation, and whoever has stopped listening would then be given a key.
            timer = None if wait is None else asyncio.get_running_loop().call_later(wait, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def done(self, key: K, *, failed: bool = False) -> None:
        """Ends the work on `key`; after a failure it comes again, later after each failure in a row."""
        self._working.discard(key)
        if failed:
            self._failures[key] = self._failures.get(key, 0) + 1
            self.add_after(key, backoff(self._failures[key]))
            self._again.discard(key)
            return
        self._failures.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def clear(self) -> None:
        """Forgets all that waits."""
        self._ready.clear()
        self._waiting.clear()
        self._again.clear()
        self._later.clear()
        self._heap.clear()

    def _promote(self) -> float | None:
        """Moves keys whose time has come; returns the seconds until the next one's."""
        now = asyncio.get_running_loop().time()
        while self._heap:
            at, _, key = self._heap[0]
            if self._later.get(key) != at:
                heapq.heappop(self._heap)
            elif at <= now:
                heapq.heappop(self._heap)
                del self._later[key]
                self.add(key)
            else:
                return at - now
        return None
