"""The operator's process: connect, fill the store, stand by or work, and on SIGTERM finish and hand over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from dynamiq_operator.controller import handlers
from dynamiq_operator.controller.cache import AppKey, Store
from dynamiq_operator.controller.claims import Claims
from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.execute import Performer
from dynamiq_operator.controller.gateway_api import GatewayApi
from dynamiq_operator.controller.informers import Watching
from dynamiq_operator.controller.leader import Lease
from dynamiq_operator.controller.observe import Observer
from dynamiq_operator.controller.workers import Working
from dynamiq_operator.controller.workqueue import Queue
from dynamiq_operator.kube.errors import backoff
from dynamiq_operator.model.settings import Settings

LIST_AGAIN_EVERY = 600.0
"""Seconds between two lists of everything, which find what an interrupted watch missed."""
_KOPF = Path(kopf.__file__).parent
RAN_WELL = 600.0
"""Seconds after which watches that end are started anew without a delay that grows."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How the process runs. `namespaces`: empty is the whole cluster. `list_again_every`: seconds."""

    settings: Settings
    identity: str
    lease_namespace: str
    lease_name: str
    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    health: str | None = None
    list_again_every: float = LIST_AGAIN_EVERY


async def run(options: Options) -> None:
    """Runs until SIGTERM or SIGINT. Raises only where the process cannot begin at all."""
    stopping = asyncio.Event()
    async with await Client.connect(options.kubeconfig, options.context) as client:
        store, queue = Store(), Queue[AppKey]()
        namespaces = frozenset(options.namespaces) or None
        gateway_api = GatewayApi(client)
        watching = Watching(store, queue, namespaces, gateway_api)
        claims = Claims(client, store, options.settings, options.lease_namespace, namespaces)
        observer = Observer(client, store, options.settings, claims, gateway_api)
        lease = Lease(client, options.lease_namespace, options.lease_name, options.identity)
        performer = Performer(client, store, observer, claims, lease, lambda: f"dynq_{secrets.token_urlsafe(32)}")
        ready = asyncio.Event()
        tasks = [
            asyncio.create_task(_watch(options, watching, client, ready, stopping)),
            asyncio.create_task(_list_again(options, watching, client)),
            asyncio.create_task(_lead(lease, watching, Working(queue, store, observer, performer), ready, stopping)),
        ]
        signalled = asyncio.create_task(_signalled(stopping))
        # None of the others ends by itself: one that did would leave a process that looks alive and does nothing.
        ended, _ = await asyncio.wait([signalled, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
        log.info("stopping: finishing what is under way")
        await tasks[-1]
        for task in (signalled, *tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _signalled(stopping: asyncio.Event) -> None:
    """Waits for SIGTERM or SIGINT. kopf takes the handlers for itself each time it starts, so they are taken back."""
    loop = asyncio.get_running_loop()
    while not stopping.is_set():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), 0.5)


async def _watch(options: Options, watching: Watching, client: Client, ready: asyncio.Event, stopping: asyncio.Event) -> None:
    """kopf, for ever: whatever ends it, it is started anew.

    It looks up the resources once, so it starts when they can be listed: they may be installed after the operator. For HTTPRoutes,
    which a cluster may never have, it is ended and started anew when they come or go.
    """
    failures = 0
    await watching.list_until_done(client)
    ready.set()
    while not stopping.is_set():
        began = asyncio.get_running_loop().time()
        watching.gateway_api.changed.clear()
        registry, settings = handlers.registry(watching, client), handlers.settings()
        try:
            tasks = await kopf.spawn_tasks(
                registry=registry,
                settings=settings,
                standalone=True,
                clusterwide=not options.namespaces,
                namespaces=options.namespaces,
                liveness_endpoint=options.health,
                stop_flag=watching.gateway_api.changed,
            )
            await kopf.run_tasks(tasks, ignored=_NotOfKopf())
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("the watches ended")
        else:
            if watching.gateway_api.changed.is_set() and not stopping.is_set():
                log.info("the Gateway API has come or gone: the watches are started anew")
                await watching.list_until_done(client)
                continue
            stopping.set()  # kopf ends without an error only for a signal, which came before the handlers were taken back
            return
        failures = failures + 1 if asyncio.get_running_loop().time() - began < RAN_WELL else 1
        log.warning("the watches are started anew")
        await asyncio.sleep(backoff(failures))
        await watching.list_until_done(client)


class _NotOfKopf(frozenset[asyncio.Task[Any]]):
    """The tasks that kopf leaves alone when it ends. It would cancel every task that was made since it began, the workers included."""

    def __contains__(self, task: object) -> bool:
        code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
        return code is None or not Path(code.co_filename).is_relative_to(_KOPF)


async def _list_again(options: Options, watching: Watching, client: Client) -> None:
    while True:
        await asyncio.sleep(options.list_again_every)
        await watching.list_until_done(client)


async def _lead(lease: Lease, watching: Watching, working: Working, ready: asyncio.Event, stopping: asyncio.Event) -> None:
    """Takes the lease and works while it is ours, again and again until the process is to stop."""
    if not await _unless(stopping, ready.wait()):
        return
    log.info("ready: %d Apps", len(watching.store.apps()))
    while not stopping.is_set():
        if not await _unless(stopping, lease.acquire()):
            break
        log.info("working as %s", lease.identity)
        holding = asyncio.create_task(lease.hold(working.stop))
        ending = asyncio.create_task(_then(stopping, working.stop))
        await working.run()
        holding.cancel()
        ending.cancel()
    await lease.release()


async def _unless(stopping: asyncio.Event, waiting: Coroutine[Any, Any, object]) -> bool:
    """Awaits `waiting`, and raises what it raised; False where `stopping` is set first."""
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
