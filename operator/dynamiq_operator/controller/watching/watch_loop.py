"""Runs kopf within the process, and restarts it whenever it ends. A process that cannot recover ends. It handles no event itself."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from dynamiq_operator.controller.watching import handlers
from dynamiq_operator.controller.watching.feed import Feed
from dynamiq_operator.controller.watching.informers import Informers
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.errors import backoff

HEALTHY_AFTER = 600.0
"""Seconds of watching after which the backoff of restarts begins anew."""
CHECK_PERIOD = 5.0
CHECKS = 12
"""Checks, at least, before the process ends."""
IDLE_TIMEOUT = 0.2
"""Seconds after which kopf ends the task that it has for each object."""
_KOPF = Path(kopf.__file__).parent

log = logging.getLogger(__name__)


class NotRecovering(Exception):  # noqa: N818 - it says how the process is
    """An error: the process cannot recover, and Kubernetes has to start another one."""


@dataclass(frozen=True)
class WatchScope:
    """The scope of the watches. `namespaces`: empty is the whole cluster. `health`: URL of the liveness probe that kopf serves."""

    namespaces: tuple[str, ...] = ()
    health: str | None = None


async def watch(scope: WatchScope, informers: Informers, stopping: asyncio.Event) -> None:
    """Fills the cache and keeps it up to date until `stopping` is set."""
    failures = 0
    while not stopping.is_set():
        began = asyncio.get_running_loop().time()
        registry, settings = handlers.registry(informers), _settings()
        try:
            await _run_kopf(scope, registry, settings, stopping)
        except Exception:
            log.exception("the watches ended")
        else:
            stopping.set()  # kopf ends without an error only for a signal, which came before its handlers were replaced
            return
        failures = failures + 1 if asyncio.get_running_loop().time() - began < HEALTHY_AFTER else 1
        log.warning("the watches are started again")
        await asyncio.sleep(backoff(failures))


async def supervise(client: Client, feeds: Iterable[Feed], within: float) -> None:
    """Raises NotRecovering if this process is what does not recover. It waits for an API server that is down, however long.

    `within`: seconds, counted by checks, so that a process that was paused has its whole time after that. A resource is silent only while
    the API server answers others. An error as the answer is no reason to end: another process would get the same.
    """
    pause = min(within / CHECKS, CHECK_PERIOD)
    progress = {feed: (feed.state.answers, 0) for feed in feeds}
    refused, answers = 0, client.answers
    while True:
        await asyncio.sleep(pause)
        refused = refused + 1 if client.is_refused else 0
        if refused * pause > within:
            raise NotRecovering(f"the API server has not accepted the operator's credentials for {within:.0f} s")
        is_down, answers = client.answers == answers, client.answers
        for feed, (last, silent) in progress.items():
            has_progress = feed.is_held or feed.state.answers != last
            progress[feed] = (feed.state.answers, 0 if has_progress else silent + (not is_down))
            if progress[feed][1] * pause > within:
                raise NotRecovering(f"the watch of {feed.path} was silent for {within:.0f} s, while the API server answered others")


def handle_signals(stopping: asyncio.Event) -> None:
    """Sets `stopping` on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)


def _settings() -> kopf.OperatorSettings:
    """Returns settings by which kopf writes nothing of its own. Its session never returns an error, and ends each watch by itself."""
    options = kopf.OperatorSettings()
    options.posting.enabled = False
    options.peering.standalone = True
    options.scanning.disabled = True
    options.queueing.worker_limit = None
    options.queueing.idle_timeout = IDLE_TIMEOUT
    return options


async def _run_kopf(scope: WatchScope, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, stopping: asyncio.Event) -> None:
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        standalone=True,
        clusterwide=not scope.namespaces,
        namespaces=scope.namespaces,
        liveness_endpoint=scope.health,
    )
    handle_signals(stopping)  # kopf has taken them: it would end the watches before the workers have finished
    await kopf.run_tasks(tasks, ignored=TasksNotOfKopf())


class TasksNotOfKopf(frozenset[asyncio.Task[Any]]):
    """The tasks that kopf leaves alone when it ends. Otherwise it would cancel every task made since it began, workers included."""

    def __contains__(self, task: object) -> bool:
        code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
        return code is None or not Path(code.co_filename).is_relative_to(_KOPF)
