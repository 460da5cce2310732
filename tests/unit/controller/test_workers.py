"""The workers lose no key that they take while they stop."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.execute.executor import Executor
from dynamiq_operator.controller.notifications.notifier import Notifier
from dynamiq_operator.controller.observing.observe import Observer
from dynamiq_operator.controller.reconciling.reconcile import Reconciler
from dynamiq_operator.controller.reconciling.workers import SWEEP_PERIOD, WORKERS, Workers
from dynamiq_operator.controller.telemetry.metrics import OperatorMetrics
from dynamiq_operator.controller.upkeep.settings_recorder import SettingsRecorder
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.support.controller import Clock, NothingRecorded
from tests.support.waiting import IN_TIME

SOON = IN_TIME
APP = ("demo", "chat")
NOTHING = cast(SettingsRecorder, NothingRecorded())


class _Observer:
    """An observer that notes each observation, and finds no objects."""

    def __init__(self) -> None:
        self.seen = asyncio.Event()

    async def observe(self, key: AppKey) -> Snapshot:
        self.seen.set()
        return Snapshot(*key, given.NOW, Settings())


class _Notifier:
    """A notifier of Apps without background runs."""

    def note_questions(self, _: Snapshot) -> None:
        """Queues nothing."""


async def _answers() -> None:
    """Stands for an API server that answers."""


async def test_an_app_that_arrives_as_the_lease_is_lost_is_reconciled_when_it_is_back() -> None:
    queue, observer, states = WorkQueue[AppKey](), _Observer(), AppStates()
    cache = Cache()
    reconciler = Reconciler(
        queue, cast(Observer, observer), cast(Executor, None), states, OperatorMetrics(), cast(Notifier, _Notifier()), NOTHING
    )
    workers = Workers(queue, cache, states, reconciler, _answers, _answers)
    running = asyncio.create_task(workers.run())
    await asyncio.sleep(0.05)  # the workers wait for an App
    cache.update(APPS, given.stored(given.app_manifest()))
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


class _CalledOff(_Observer):
    """An observer whose first waits are cancelled by others."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    async def observe(self, key: AppKey) -> Snapshot:
        self.times += 1
        if self.times <= WORKERS:
            raise asyncio.CancelledError
        return await super().observe(key)

    def app(self, _: AppKey) -> None:
        """Returns None: there is no App whose status could show the failure."""


async def test_a_wait_that_is_called_off_within_a_reconcile_costs_no_worker() -> None:
    queue, observer, states, cache = WorkQueue[AppKey](), _CalledOff(), AppStates(), Cache()
    cache.update(APPS, given.stored(given.app_manifest()))
    reconciler = Reconciler(
        queue, cast(Observer, observer), cast(Executor, None), states, OperatorMetrics(), cast(Notifier, _Notifier()), NOTHING
    )
    workers = Workers(queue, cache, states, reconciler, _answers, _answers)
    running = asyncio.create_task(workers.run())
    for _ in range(WORKERS):
        queue.add(APP)
        await asyncio.sleep(0.02)
    await asyncio.wait_for(observer.seen.wait(), SOON)
    workers.stop()
    await asyncio.wait_for(running, SOON)


async def test_apps_that_there_are_not_leave_nothing_behind() -> None:
    """Users choose these names."""
    queue, observer, states = WorkQueue[AppKey](), _Observer(), AppStates()
    reconciler = Reconciler(
        queue, cast(Observer, observer), cast(Executor, None), states, OperatorMetrics(), cast(Notifier, _Notifier()), NOTHING
    )
    for number in range(100):
        app = ("demo", f"preview-{number}")
        queue.add(app)
        await reconciler.process(await queue.get())
        assert app not in states


async def test_a_replica_that_follows_queues_nothing() -> None:
    queue = WorkQueue[str]()
    queue.add_after("delayed", 0.01)
    queue.add("a")
    assert await queue.get() == "a"
    queue.close()
    queue.add("b")
    queue.add("a")
    queue.done("a", failed=True)
    queue.open()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.3)
    queue.add("c")
    assert await asyncio.wait_for(queue.get(), SOON) == "c"


async def test_sweeps_are_a_minute_apart_and_one_that_fails_stops_no_other() -> None:
    clock, swept = Clock(), list[str]()

    async def fails() -> None:
        swept.append("fails")
        raise errors.Unavailable("no answer")

    async def breaks() -> None:
        swept.append("breaks")
        raise RuntimeError("broken")

    async def sweep() -> None:
        swept.append("sweep")

    states, reconciler = AppStates(clock), cast(Reconciler, None)
    workers = Workers(WorkQueue[AppKey](), Cache(), states, reconciler, _answers, fails, breaks, sweep)
    await workers.sweep()
    await workers.sweep()
    assert swept == ["fails", "breaks", "sweep"]
    clock.later(SWEEP_PERIOD)
    await workers.sweep()
    assert swept == ["fails", "breaks", "sweep"] * 2
