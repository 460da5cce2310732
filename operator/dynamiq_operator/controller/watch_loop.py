"""kopf's life within the process: it watches, and whatever ends it, it is started anew."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from dynamiq_operator.controller import handlers, kopf_settings
from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.informers import Informers
from dynamiq_operator.kube.errors import backoff

HEALTHY_AFTER = 600.0
"""Seconds that the watches lasted, after which the backoff of their restarts begins anew."""
_KOPF = Path(kopf.__file__).parent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WatchScope:
    """`namespaces`: empty is the whole cluster. `health`: URL of the liveness probe that kopf serves."""

    namespaces: tuple[str, ...] = ()
    health: str | None = None


async def watch(scope: WatchScope, informers: Informers, client: Client, synced: asyncio.Event, stopping: asyncio.Event) -> None:
    """Fills the cache, sets `synced`, and watches until `stopping` is set.

    kopf looks up the resources once, so it starts when they can be listed: they may be installed after the operator. For HTTPRoutes,
    which a cluster may never have, it is ended and started anew when they come or go.
    """
    failures = 0
    await informers.list_until_synced()
    synced.set()
    while not stopping.is_set():
        began = asyncio.get_running_loop().time()
        informers.gateway_api.changed.clear()
        registry, settings = handlers.registry(informers, client), kopf_settings.settings()
        try:
            await _run_kopf(scope, registry, settings, informers.gateway_api.changed)
        except Exception:
            log.exception("the watches ended")
        else:
            if informers.gateway_api.changed.is_set() and not stopping.is_set():
                log.info("the Gateway API was installed or removed: the watches are started anew")
                await informers.list_until_synced()
                continue
            stopping.set()  # kopf ends without an error only for a signal, which came before the handlers were taken back
            return
        failures = failures + 1 if asyncio.get_running_loop().time() - began < HEALTHY_AFTER else 1
        log.warning("the watches are started anew")
        await asyncio.sleep(backoff(failures))
        await informers.list_until_synced()


async def _run_kopf(scope: WatchScope, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, stop: asyncio.Event) -> None:
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        standalone=True,
        clusterwide=not scope.namespaces,
        namespaces=scope.namespaces,
        liveness_endpoint=scope.health,
        stop_flag=stop,
    )
    await kopf.run_tasks(tasks, ignored=TasksNotOfKopf())


class TasksNotOfKopf(frozenset[asyncio.Task[Any]]):
    """The tasks that kopf leaves alone when it ends. It would cancel every task that was made since it began, the workers included."""

    def __contains__(self, task: object) -> bool:
        code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
        return code is None or not Path(code.co_filename).is_relative_to(_KOPF)
