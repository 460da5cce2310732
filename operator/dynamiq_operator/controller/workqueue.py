"""Queues keys for workers: each key is queued at most once, processed by one worker at a time, and can be delayed or retried.

It is fair between groups of keys, such as namespaces. Groups take turns, the one with the fewest keys in process first, and none has more
than its share of the workers. Within a group keys take turns: a key that is added again queues behind the others. Keys that have not
changed, as far as is known, have a low priority: they never delay one that has.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import ChainMap, Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable
from time import monotonic
from typing import Generic, TypeVar

from dynamiq_operator.kube.errors import backoff

K = TypeVar("K", bound=Hashable)
SUPERSEDED_MOST = 64
"""Superseded times of delayed keys that are kept at least."""

REST = 0.2
"""The least share of a backoff for which a key rests, however long its failure took: others get a worker meanwhile."""


class WorkQueue(Generic[K]):
    """A queue of keys. A key that is added while it is processed is queued once more afterwards.

    `group`: returns the group of a key. `share`: keys of a group that are processed at a time, at most.
    """

    def __init__(self, group: Callable[[K], Hashable] = lambda _key: "", share: int | None = None) -> None:
        self._group, self._share = group, share
        self._ready: OrderedDict[Hashable, OrderedDict[K, float]] = OrderedDict()
        """Queued keys by group, each in the order of its turns, and since when they wait."""
        self._low: OrderedDict[K, float] = OrderedDict()
        """Keys of a low priority that are not queued yet, and since when they wait."""
        self._takes = 0
        self._processing: dict[K, float] = {}
        """Keys in process, and since when."""
        self._busy: Counter[Hashable] = Counter()
        """The number of keys in process, by group."""
        self._dirty: dict[K, float] = {}
        """Keys that were added while they were processed, and since when they wait."""
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._is_open = True

    def open(self) -> None:
        """Accepts keys from now on."""
        self._is_open = True

    def close(self) -> None:
        """Drops what is queued, and accepts no key: without workers the queue would only grow."""
        self._is_open = False
        for kept in (self._ready, self._low, self._dirty, self._due, self._heap, self._failures):
            kept.clear()

    def add(self, key: K) -> None:
        """Queues `key` now."""
        if self._is_open:
            self._add(key, monotonic())

    def add_low(self, keys: Iterable[K]) -> None:
        """Queues each of `keys` when no other one is ready, and at every second turn in any case."""
        if self._is_open:
            self._low.update(dict.fromkeys(keys, monotonic()))
            self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Queues `key` after `seconds`, or at an earlier time that was requested before."""
        at = asyncio.get_running_loop().time() + seconds
        if not self._is_open or (key in self._due and self._due[key] <= at):
            return
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 2 * len(self._due) + SUPERSEDED_MOST:  # superseded times would stay until they are due
            self._heap = [(at, number, key) for number, (key, at) in enumerate(self._due.items(), self._count + 1)]
            self._count += len(self._heap)
            heapq.heapify(self._heap)
        self._changed.set()

    @property
    def depth(self) -> int:
        """The number of keys that wait to be processed. A delayed key does not wait yet."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """Seconds for which the oldest key has waited; 0 if none waits."""
        now = monotonic()
        return now - min(self._waiting.values(), default=now)

    @property
    def _waiting(self) -> ChainMap[K, float]:
        return ChainMap(self._dirty, *self._ready.values(), self._low)

    async def get(self) -> K:
        """Returns the next key; the worker calls `done` with it afterwards."""
        while True:
            wait = self._queue_due()
            self._queue_low()
            if (group := self._next_group()) is not None:
                return self._take(group)
            self._changed.clear()
            # `wait_for` can swallow a cancellation: a cancelled caller would get a key.
            timer = None if wait is None else asyncio.get_running_loop().call_later(wait, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def done(self, key: K, *, failed: bool = False) -> None:
        """Ends the processing of `key`.

        After a failure it queues the key again, with backoff by its consecutive failures. The backoff counts from the beginning of the
        processing, which may have waited long for an answer. A key that was added meanwhile has changed, and is queued at once.
        """
        took = asyncio.get_running_loop().time() - self._processing.pop(key)
        self._busy[self._group(key)] -= 1
        self._busy += Counter()  # keeps no group of which nothing is processed
        self._changed.set()
        if failed and self._is_open:
            self._failures[key] = self._failures.get(key, 0) + 1
            pause = backoff(self._failures[key])
            self.add_after(key, max(pause - took, pause * REST))
        else:
            self._failures.pop(key, None)
        if key in self._dirty:
            self._add(key, self._dirty.pop(key))

    def _add(self, key: K, since: float) -> None:
        if key in self._processing:
            self._dirty.setdefault(key, since)
        else:
            self._ready.setdefault(self._group(key), OrderedDict()).setdefault(key, since)
            self._changed.set()

    def _next_group(self) -> Hashable | None:
        """Returns the group whose turn it is; None if no key is ready, or every group with one has its share."""
        free = [group for group in self._ready if self._is_free(group)]
        return min(free, key=lambda group: self._busy[group], default=None)  # the first of those that are equal

    def _is_free(self, group: Hashable) -> bool:
        return self._share is None or self._busy[group] < self._share

    def _queue_low(self) -> None:
        if not self._low or (self._takes % 2 and self._next_group() is not None):
            return
        if (key := next((key for key in self._low if self._is_free(self._group(key))), None)) is not None:
            self._add(key, self._low.pop(key))

    def _take(self, group: Hashable) -> K:
        keys = self._ready[group]
        key, _ = keys.popitem(last=False)
        self._ready.move_to_end(group)
        if not keys:
            del self._ready[group]
        self._low.pop(key, None)
        self._takes += 1
        self._processing[key] = asyncio.get_running_loop().time()
        self._busy[group] += 1
        return key

    def _queue_due(self) -> float | None:
        """Queues the keys that are due; returns the seconds until the next one."""
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
