"""The workers of the leading replica, and the resync of every App."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.controller.leader import LeadershipLost
from dynamiq_operator.controller.reconcile import Reconciler
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import errors

log = logging.getLogger(__name__)

WORKERS = 10
NAMESPACE_SHARE = 8
"""Of the workers, how many one namespace may keep busy: another namespace's App finds one that is free."""
RESYNC_PERIOD = 3.0
"""Seconds between the resyncs of one App and of the next, however many there are: each costs a request, and nothing relies on it."""


class Workers:
    """Takes Apps from the queue and reconciles them, several at a time, each by one worker.

    `until_answered` is awaited before each: an API server that is down is not asked for a thousand Apps, but by a few workers now and then.
    `sweeps` delete what is left of what is gone: each is called at the start, and after each round of the resync.
    """

    def __init__(
        self,
        queue: WorkQueue[AppKey],
        cache: Cache,
        states: AppStates,
        reconciler: Reconciler,
        until_answered: Callable[[], Awaitable[None]],
        *sweeps: Callable[[], Awaitable[None]],
    ) -> None:
        self._sweeps = sweeps
        self._queue, self._cache, self._states, self._reconciler = queue, cache, states, reconciler
        self._until_answered = until_answered
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Works until `stop` is called, then finishes the reconciles that have begun."""
        self._stopping.clear()
        self._states.clear()
        self._queue.open()
        self._queue.add_low(self._cache.apps())  # a deploy is not to wait for the first look at every App
        stopping = asyncio.create_task(self._stopping.wait())
        running = {asyncio.create_task(part()): part for part in (self._resync, *[self._work] * WORKERS)}
        while not self._stopping.is_set():
            ended, _ = await asyncio.wait({stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
            for task in running.keys() & ended if not self._stopping.is_set() else ():
                # Such as by a wait that was called off: a leader that does less and less would keep the others from leading.
                log.error("a task of the leader ended, and is begun again", exc_info=None if task.cancelled() else task.exception())
                part = running.pop(task)
                running[asyncio.create_task(part())] = part
        for task, part in running.items():
            if part == self._resync:
                task.cancel()
        await asyncio.wait(running)
        self._queue.close()

    def stop(self) -> None:
        """Takes no further App; `run` returns when the reconciles that have begun are done."""
        self._stopping.set()

    async def _work(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        while True:
            await self._until_answered()
            getting = asyncio.create_task(self._queue.get())
            await asyncio.wait({stopping, getting}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await self._reconciler.process(getting.result())
            elif getting.done():  # taken at the last moment: the next leader begins with every App
                return self._queue.done(getting.result())
            else:
                getting.cancel()
                return None

    async def _resync(self) -> None:
        """Requeues one App after the other, for what no watch tells: a Secret that was changed, or deleted, in silence."""
        while True:
            for sweep in self._sweeps:
                try:
                    await sweep()
                except (errors.ApiError, LeadershipLost) as error:
                    log.warning("what is left of Apps or rows that are gone could not be deleted, trying again: %s", error)
            for app in sorted(self._cache.apps()):
                self._states.invalidate(app)
                self._queue.add(app)
                await asyncio.sleep(RESYNC_PERIOD)
            if not self._cache.apps():
                await asyncio.sleep(RESYNC_PERIOD)
