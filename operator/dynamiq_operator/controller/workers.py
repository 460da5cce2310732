"""The workers of the leading replica, and the resync of every App."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.controller.reconcile import Reconciler
from dynamiq_operator.controller.workqueue import WorkQueue

WORKERS = 10
NAMESPACE_SHARE = 8
"""Of the workers, how many one namespace may keep busy: somebody else's App finds one that is free."""
RESYNC_PERIOD = 3.0
"""Seconds between the resyncs of one App and of the next, however many there are: each costs a request, and nothing relies on it."""


class Workers:
    """Takes Apps from the queue and reconciles them, several at a time, each by one worker.

    `until_answered` is awaited before each: an API server that is down is not asked for a thousand Apps, but by a few workers now and then.
    """

    def __init__(
        self,
        queue: WorkQueue[AppKey],
        cache: Cache,
        states: AppStates,
        reconciler: Reconciler,
        until_answered: Callable[[], Awaitable[None]],
    ) -> None:
        self._queue, self._cache, self._states, self._reconciler = queue, cache, states, reconciler
        self._until_answered = until_answered
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Works until `stop` is called, then finishes the reconciles that have begun."""
        self._stopping.clear()
        self._states.clear()
        for app in self._cache.apps():
            self._queue.add(app)
        resyncing = asyncio.create_task(self._resync())
        workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]
        await self._stopping.wait()
        resyncing.cancel()
        await asyncio.gather(*workers)

    def stop(self) -> None:
        """Takes no further App; `run` returns when the reconciles that have begun are done."""
        self._stopping.set()

    async def _work(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        while True:
            await self._until_answered()
            getting = asyncio.create_task(self._queue.get())
            await asyncio.wait({stopping, getting}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                self._give_back(getting)
                return
            await self._reconciler.process(getting.result())

    def _give_back(self, getting: asyncio.Task[AppKey]) -> None:
        """Puts an App that was taken at the last moment back on the queue, for when this replica leads again."""
        if not getting.done():
            getting.cancel()
            return
        self._queue.done(getting.result())
        self._queue.add(getting.result())

    async def _resync(self) -> None:
        """Requeues one App after the other, for what no watch tells: a Secret that was changed, or deleted, in silence."""
        while True:
            for app in sorted(self._cache.apps()):
                self._states.invalidate(app)
                self._queue.add(app)
                await asyncio.sleep(RESYNC_PERIOD)
            if not self._cache.apps():
                await asyncio.sleep(RESYNC_PERIOD)
