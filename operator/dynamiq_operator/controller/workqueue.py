"""A deduplicating workqueue: each key is queued at most once, processed by one worker at a time, and can be delayed or retried."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from dynamiq_operator.kube.errors import backoff

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys to process. A key that is added while it is processed is queued once more afterwards."""

    def __init__(self) -> None:
        self._ready: deque[K] = deque()
        self._queued: set[K] = set()
        self._processing: set[K] = set()
        self._dirty: set[K] = set()
        """Keys that were added while they were processed."""
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: K) -> None:
        """Queues `key` now."""
        if key in self._processing:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Queues `key` after `seconds`, or at an earlier time that was asked for before."""
        at = asyncio.get_running_loop().time() + seconds
        if key in self._due and self._due[key] <= at:
            return
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        self._changed.set()

    async def get(self) -> K:
        """The next key; the worker calls `done` with it afterwards."""
        while True:
            wait = self._queue_due()
            if self._ready:
                key = self._ready.popleft()
                self._queued.discard(key)
                self._processing.add(key)
                return key
            self._changed.clear()
            # `wait_for` can swallow a cancellation, and a caller that has gone would then be given a key.
            timer = None if wait is None else asyncio.get_running_loop().call_later(wait, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def done(self, key: K, *, failed: bool = False) -> None:
        """Ends the processing of `key`; after a failure it is queued again with backoff by its consecutive failures."""
        self._processing.discard(key)
        if failed:
            self._failures[key] = self._failures.get(key, 0) + 1
            self.add_after(key, backoff(self._failures[key]))
            self._dirty.discard(key)
            return
        self._failures.pop(key, None)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def _queue_due(self) -> float | None:
        """Queues the keys whose time has come; returns the seconds until the next one's."""
        now = asyncio.get_running_loop().time()
        while self._heap:
            at, _, key = self._heap[0]
            if self._due.get(key) != at:
                heapq.heappop(self._heap)
            elif at <= now:
                heapq.heappop(self._heap)
                del self._due[key]
                self.add(key)
            else:
                return at - now
        return None
