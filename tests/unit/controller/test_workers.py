"""The workers: what they are given as they stop is not lost."""

from __future__ import annotations

import asyncio
from typing import cast

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.controller.execute.executor import Executor
from dynamiq_operator.controller.observe import Observer
from dynamiq_operator.controller.reconcile import Reconciler
from dynamiq_operator.controller.workers import Workers
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given

SOON = 60.0  # seconds
APP = ("demo", "chat")


class _Observer:
    """An observer that notes that an App is observed, and finds nothing there."""

    def __init__(self) -> None:
        self.seen = asyncio.Event()

    async def observe(self, key: AppKey) -> Snapshot:
        self.seen.set()
        return Snapshot(*key, given.NOW, Settings())


async def _answers() -> None:
    """The API server answers."""


async def test_an_app_that_arrives_as_the_lease_is_lost_is_reconciled_when_it_is_back() -> None:
    queue, observer, states = WorkQueue[AppKey](), _Observer(), AppStates()
    workers = Workers(queue, Cache(), states, Reconciler(queue, cast(Observer, observer), cast(Executor, None), states), _answers)
    running = asyncio.create_task(workers.run())
    await asyncio.sleep(0.05)  # the workers wait for an App
    queue.add(APP)
    workers.stop()
    await asyncio.wait_for(running, SOON)
    assert not observer.seen.is_set()
    running = asyncio.create_task(workers.run())
    await asyncio.wait_for(observer.seen.wait(), SOON)
    workers.stop()
    await asyncio.wait_for(running, SOON)


async def test_a_wait_for_an_app_that_is_called_off_takes_none() -> None:
    queue = WorkQueue[str]()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)  # lets the task run until it waits
    queue.add("a")
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=SOON)
    assert waiting.cancelled()
    assert await asyncio.wait_for(queue.get(), SOON) == "a"
