"""The workers: each takes an App from the queue, observes it, makes a plan and carries it out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from dynamiq_operator.controller.cache import AppKey, Store
from dynamiq_operator.controller.execute import Performer
from dynamiq_operator.controller.observe import Observer
from dynamiq_operator.controller.workqueue import Queue
from dynamiq_operator.kube import errors
from dynamiq_operator.plan import make_plan

WORKERS = 8
LOOK_EVERY = 3.0
LOOKS_PER_SECOND = 20
"""Each App is looked at again every 3 s while there are at most 60; with more, 20 of them a second."""
EAGER_PASSES = 8
"""Passes in a row that each did something, after which the App has to wait: a plan that never ends must not spin."""
CALM_DOWN = 1.0

log = logging.getLogger(__name__)


class Working:
    """What the replica that holds the lease does."""

    def __init__(self, queue: Queue[AppKey], store: Store, observer: Observer, performer: Performer) -> None:
        self._queue, self._store, self._observer, self._performer = queue, store, observer, performer
        self._busy: dict[AppKey, int] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Works until `stop` is called, then finishes what has been begun."""
        self._stopping.clear()
        self._observer.forget()
        for app in self._store.apps():
            self._queue.add(app)
        looking = asyncio.create_task(self._look_at_all())
        workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]
        await self._stopping.wait()
        looking.cancel()
        await asyncio.gather(*workers)

    def stop(self) -> None:
        """Takes no further App; `run` returns when those under way are done."""
        self._stopping.set()

    async def _work(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        while True:
            getting = asyncio.create_task(self._queue.get())
            await asyncio.wait({stopping, getting}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                self._give_back(getting)
                return
            await self._handle(getting.result())

    def _give_back(self, getting: asyncio.Task[AppKey]) -> None:
        """What was taken from the queue at the last moment stays on it, for when this replica works again."""
        if not getting.done():
            getting.cancel()
            return
        self._queue.done(getting.result())
        self._queue.add(getting.result())

    async def _handle(self, app: AppKey) -> None:
        try:
            await self._pass(app)
        except errors.Conflict as error:
            log.info("App %s/%s was written by somebody else meanwhile: %s", *app, error)
            self._queue.done(app, failed=True)
        except errors.LostLease:
            log.warning("App %s/%s: stopped, since the lease may be another's by now", *app)
            self._queue.done(app, failed=True)
        except errors.ApiError as error:
            log.warning("App %s/%s: %s; trying again", *app, error)
            self._queue.done(app, failed=True)
        except Exception:
            log.exception("App %s/%s could not be handled; trying again", *app)
            self._queue.done(app, failed=True)
        else:
            self._queue.done(app)

    async def _pass(self, app: AppKey) -> None:
        plan = make_plan(await self._observer.observe(app))
        if plan.requeue_after is not None:
            self._queue.add_after(app, max(plan.requeue_after, 0.1))
        if not plan.actions:
            self._busy.pop(app, None)
            return
        for action in plan.actions:
            log.info("App %s/%s: %s", *app, type(action).__name__)
        self._busy[app] = self._busy.get(app, 0) + 1
        await self._performer.perform(app, plan)
        if self._busy[app] < EAGER_PASSES:
            self._queue.add(app)
        else:
            self._queue.add_after(app, CALM_DOWN)

    async def _look_at_all(self) -> None:
        """Looks at every App now and then: Secrets are not watched, and time alone can change what is to be done."""
        while True:
            for app in list(self._spread()):
                self._observer.doubt(app)
                self._queue.add(app)
                await asyncio.sleep(max(LOOK_EVERY / max(len(self._store.apps()), 1), 1 / LOOKS_PER_SECOND))
            if not self._store.apps():
                await asyncio.sleep(LOOK_EVERY)

    def _spread(self) -> Iterator[AppKey]:
        return iter(sorted(self._store.apps()))
