"""Runs the workers of the leading replica, and the resync of every App. It elects nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.leading.leader import LeadershipLost
from dynamiq_operator.controller.reconciling.reconcile import Reconciler
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import errors

log = logging.getLogger(__name__)

WORKERS = 10
NAMESPACE_SHARE = 8
"""Workers that one namespace may keep busy: an App of another namespace finds a free one."""
SWEEP_PERIOD = 60.0
"""Seconds between two sweeps, at least."""
RESYNC_PERIOD = 3.0
"""Seconds between the resyncs of one App and of the next, however many there are. Each costs a request, and nothing relies on it."""


class Workers:
    """The workers. They take Apps from the queue and reconcile several at a time, each by one worker.

    `until_answered` is awaited before each App: only a few workers, now and then, ask an API server that is down. `begin` is awaited before
    anything else; if it fails, it is repeated beside the work. `sweeps` delete what missing objects left behind, and create what is
    missing: each is called at the start, and after a round of the resync.
    """

    def __init__(
        self,
        queue: WorkQueue[AppKey],
        cache: Cache,
        states: AppStates,
        reconciler: Reconciler,
        until_answered: Callable[[], Awaitable[None]],
        *sweeps: Callable[[], Awaitable[None]],
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._sweeps, self._begin = sweeps, begin
        self._queue, self._cache, self._states, self._reconciler = queue, cache, states, reconciler
        self._until_answered = until_answered
        self._stopping = asyncio.Event()
        self._swept_at: float | None = None

    async def run(self) -> None:
        """Works until `stop` is called, then finishes the reconciles that have begun."""
        self._stopping.clear()
        self._states.clear()
        self._swept_at = None
        stopping, tried = asyncio.create_task(self._stopping.wait()), asyncio.Event()
        beginning = asyncio.create_task(self._until_begun(tried))
        await asyncio.wait({stopping, first := asyncio.create_task(tried.wait())}, return_when=asyncio.FIRST_COMPLETED)
        first.cancel()
        self._queue.open()
        self._queue.add_low(self._cache.apps())  # a deploy must not wait for the first reconcile of every App
        running = {asyncio.create_task(part()): part for part in (self._resync, *[self._work] * WORKERS)}
        while not self._stopping.is_set():
            ended, _ = await asyncio.wait({stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
            for task in running.keys() & ended if not self._stopping.is_set() else ():
                # For example by a cancelled wait. A leader that does less and less would keep the others from leading.
                log.error("a task of the leader ended, and is started again", exc_info=None if task.cancelled() else task.exception())
                part = running.pop(task)
                running[asyncio.create_task(part())] = part
        for task, part in running.items():
            if part == self._resync:
                task.cancel()
        beginning.cancel()
        await asyncio.wait({beginning, *running})
        self._queue.close()

    def stop(self) -> None:
        """Takes no further App; `run` returns when the reconciles that have begun are done."""
        self._stopping.set()

    async def _until_begun(self, tried: asyncio.Event) -> None:
        """Repeats `begin` until it succeeds; sets `tried` after the first time."""
        failures = 0
        while self._begin is not None:
            try:
                return await self._begin()
            except (errors.ApiError, LeadershipLost) as error:
                log.warning("the first tasks of a leader failed, trying again: %s", error)
            except Exception:
                log.exception("the first tasks of a leader failed, trying again")
            finally:
                tried.set()
            failures += 1
            await asyncio.sleep(errors.backoff(failures))
        tried.set()
        return None

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

    async def sweep(self) -> None:
        """Performs each of the sweeps, unless that was done lately."""
        now = self._states.clock()
        if self._swept_at is not None and now - self._swept_at < SWEEP_PERIOD:
            return
        self._swept_at = now
        for sweep in self._sweeps:
            try:
                await sweep()
            except (errors.ApiError, LeadershipLost) as error:
                log.warning("remains of deleted Apps or rows could not be deleted, or a claim not be created, trying again: %s", error)
            except Exception:
                log.exception("a sweep failed, trying again")  # the others do not depend on it

    async def _resync(self) -> None:
        """Requeues one App after the other, for changes that no watch reports: a Secret that was changed or deleted."""
        while True:
            await self.sweep()
            for app in sorted(self._cache.apps()):
                self._states.invalidate(app)
                self._queue.add(app)
                await asyncio.sleep(RESYNC_PERIOD)
            if not self._cache.apps():
                await asyncio.sleep(RESYNC_PERIOD)
