"""A deduplicating workqueue: each key is queued at most once, processed by one worker at a time, and can be delayed or retried.

It is fair between groups of keys, such as namespaces: they take turns, the one of which the fewest keys are processed first, and no group
has more than its share of the workers. Within a group keys take turns: one that is added again stands behind the others. Keys of which
nothing is known to have changed have a low priority: none that changed waits for many of them.
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
"""Times of a delayed key in place of which there is an earlier one that are kept at least."""

REST = 0.2
"""The share of a backoff that a key rests at least, however long its failure took: others have a worker meanwhile."""


class WorkQueue(Generic[K]):
    """Keys to process. A key that is added while it is processed is queued once more afterwards.

    `group`: of a key. `share`: how many keys of a group are processed at the same time, at most.
    """

    def __init__(self, group: Callable[[K], Hashable] = lambda _key: "", share: int | None = None) -> None:
        self._group, self._share = group, share
        self._ready: OrderedDict[Hashable, OrderedDict[K, float]] = OrderedDict()
        """Queued keys by group, each in the order in which its turn comes, and since when."""
        self._low: OrderedDict[K, float] = OrderedDict()
        """Keys of a low priority, until they are queued, and since when they wait."""
        self._takes = 0
        self._processing: dict[K, float] = {}
        """Keys that are processed, and since when."""
        self._busy: Counter[Hashable] = Counter()
        """How many keys of a group are processed."""
        self._dirty: dict[K, float] = {}
        """Keys that were added while they were processed, and since when."""
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._is_open = True

    def open(self) -> None:
        """Takes keys from now on."""
        self._is_open = True

    def close(self) -> None:
        """Drops what is queued, and takes no key: nobody works, and what is queued only would grow for as long as that is so."""
        self._is_open = False
        for kept in (self._ready, self._low, self._dirty, self._due, self._heap, self._failures):
            kept.clear()

    def add(self, key: K) -> None:
        """Queues `key` now."""
        if self._is_open:
            self._add(key, monotonic())

    def add_low(self, keys: Iterable[K]) -> None:
        """Queues each of `keys` when no other one is ready, or, so that it comes in any case, at every second turn."""
        if self._is_open:
            self._low.update(dict.fromkeys(keys, monotonic()))
            self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Queues `key` after `seconds`, or at an earlier time that was asked for before."""
        at = asyncio.get_running_loop().time() + seconds
        if not self._is_open or (key in self._due and self._due[key] <= at):
            return
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 2 * len(self._due) + SUPERSEDED_MOST:  # times that were moved forward would stay until they come
            self._heap = [(at, number, key) for number, (key, at) in enumerate(self._due.items(), self._count + 1)]
            self._count += len(self._heap)
            heapq.heapify(self._heap)
        self._changed.set()

    @property
    def depth(self) -> int:
        """Keys that wait to be processed, or to be once more; one whose time is to come does not wait yet."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """Seconds for which the key has waited that has waited longest; 0 where none does."""
        now = monotonic()
        return now - min(self._waiting.values(), default=now)

    @property
    def _waiting(self) -> ChainMap[K, float]:
        return ChainMap(self._dirty, *self._ready.values(), self._low)

    async def get(self) -> K:
        """The next key; the worker calls `done` with it afterwards."""
        while True:
            wait = self._queue_due()
            self._queue_low()
            if (group := self._next_group()) is not None:
                return self._take(group)
            self._changed.clear()
            # `wait_for` can swallow a cancellation, and a caller that has gone would then be given a key.
            timer = None if wait is None else asyncio.get_running_loop().call_later(wait, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def done(self, key: K, *, failed: bool = False) -> None:
        """Ends the processing of `key`.

        After a failure it is queued again with backoff by its consecutive failures, which counts from the beginning of the one that failed:
        that may have waited long for an answer. Whatever was added meanwhile is a change, and is not kept waiting for that.
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
        """The group whose turn it is; None where no key is ready, or every group that has one has its share."""
        free = [group for group in self._ready if self._is_free(group)]
        return min(free, key=lambda group: self._busy[group], default=None)  # the first of those that are equal

    def _is_free(self, group: Hashable) -> bool:
        return self._share is None or self._busy[group] < self._share

    def _queue_low(self) -> None:
        """Queues the next key of a low priority, where it is the turn of one."""
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
