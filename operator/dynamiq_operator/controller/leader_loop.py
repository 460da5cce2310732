"""Runs a replica: it follows until it is elected, leads while it holds the lease, and hands over when it stops. It reconciles nothing
itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from dynamiq_operator.controller.cached.cache import Cache
from dynamiq_operator.controller.leading.leader import LeaderElection
from dynamiq_operator.controller.notifications.notifier import Notifier
from dynamiq_operator.controller.reconciling.workers import Workers

log = logging.getLogger(__name__)


async def lead(
    election: LeaderElection, workers: Workers, notifier: Notifier, cache: Cache, synced: asyncio.Event, stopping: asyncio.Event
) -> None:
    """Acquires the lease, and runs the workers and the notifier while it is held; repeats that until `stopping` is set, then releases it.

    It joins the election only once the cache is `synced`: a leader that knows nothing yet would keep the others waiting.
    """
    if not await _unless(stopping, synced.wait()):
        return
    log.info("synced: %d Apps", len(cache.apps()))
    while not stopping.is_set():
        if not await _unless(stopping, election.acquire()):
            break
        log.info("leading as %s", election.identity)
        notifier.begin(election.annotations)
        renewing = asyncio.create_task(election.renew_until_lost(workers.stop))
        ending = asyncio.create_task(_then(stopping, workers.stop))
        await workers.run()
        renewing.cancel()
        ending.cancel()
        if not stopping.is_set():
            await notifier.lose()
    await election.release()
    await notifier.close()  # another replica leads meanwhile


async def _unless(stopping: asyncio.Event, waiting: Coroutine[Any, Any, object]) -> bool:
    """Awaits `waiting`, and raises its error; returns False if `stopping` is set first."""
    task = asyncio.create_task(waiting)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not task.done():
        task.cancel()
        return False
    task.result()
    return True


async def _then(event: asyncio.Event, call: Callable[[], None]) -> None:
    await event.wait()
    call()
