"""Runs one replica of the gate, from its start to the last call after SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from dynamiq_operator.gate.directory import Directory
from dynamiq_operator.gate.forwarding import Forwarder
from dynamiq_operator.gate.front import UNBOUND_AFTER, Front
from dynamiq_operator.gate.health import serve_health
from dynamiq_operator.gate.limits import Limits
from dynamiq_operator.gate.membership import DEAD_AFTER, Membership, Replica
from dynamiq_operator.gate.metrics import GateMetrics
from dynamiq_operator.gate.relay import Relay
from dynamiq_operator.gate.wakes import Wakes
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.exposition import bound, metrics_served
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.model.json_lines import FIELDS

CHECKED_EVERY = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateOptions:
    """The options of one process.

    `finish_within`: seconds from SIGTERM until calls under way are cut off. `lingers`: seconds for which it accepts calls after it left the
    last slice, for callers that have not noticed. `unbound_after`: seconds for which a port stays bound after its slice is deleted.
    `dead_after`: seconds after which another replica that is not ready is removed from slices.
    `clock` counts the seconds of ports, of held calls, and of wakes for background runs.
    """

    replica: Replica
    host: str | None = None
    health_port: int = 8081
    metrics_port: int = 9090
    limits: Limits = field(default_factory=Limits)
    finish_within: float = 840.0
    lingers: float = 10.0
    unbound_after: float = UNBOUND_AFTER
    dead_after: float = DEAD_AFTER
    clock: Callable[[], float] = monotonic
    recorder: RecorderAccess | None = None
    journal: RecorderAccess | None = None
    kubeconfig: Path | None = None
    context: str | None = None


async def serve(options: GateOptions, stop: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop` is set.

    Raises kubernetes.aio.config.ConfigException if the cluster's configuration cannot be read, and OSError if a port is in use.
    """
    _raise_file_limit()
    stopping = stop or _signalled()
    metrics = GateMetrics()
    async with (
        await Client.connect(options.kubeconfig, options.context) as client,
        Forwarder(options.limits.body, options.limits.taken_within) as forwarder,
        Relay(options.recorder, options.limits.runs) as relay,
        contextlib.AsyncExitStack() as running,
    ):
        directory = Directory(client, options.replica.namespace)
        front = Front(client, directory, forwarder, relay, metrics, options.limits, options.host, options.unbound_after, options.clock)
        membership = Membership(client, directory, front, options.replica, options.dead_after)
        health = await serve_health(options.host, options.health_port, lambda: membership.is_settled and not stopping.is_set())
        running.push_async_callback(health.cleanup)
        await running.enter_async_context(metrics_served(bound(options.host, options.metrics_port), metrics.registry))
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(part.run()) for part in (directory, front, membership)]
        if options.journal is not None:
            tasks.append(asyncio.create_task(Wakes(client, directory, metrics, options.journal, options.clock).run()))
        stopped: asyncio.Task[Any] = asyncio.create_task(stopping.wait())
        try:
            log.info("the gate serves", extra={FIELDS: {"pod": options.replica.name}})
            await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # an error of one part ends the process, which is restarted
            await _finish(options, membership, front)
        finally:
            await front.close(0)
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)


async def _finish(options: GateOptions, membership: Membership, front: Front) -> None:
    """Leaves every slice, serves until no slice routes callers here, and lets the calls under way end."""
    until = monotonic() + options.finish_within
    membership.leave()
    log.info("the gate leaves", extra={FIELDS: {"calls": front.under_way}})
    while not membership.is_in_no_slice and monotonic() < until:  # noqa: ASYNC110 - the time passes, too
        await asyncio.sleep(CHECKED_EVERY)
    await asyncio.sleep(max(min(options.lingers, until - monotonic()), 0))
    await front.close(max(until - monotonic(), 0))
    log.info("the gate has ended")


def _signalled() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _raise_file_limit() -> None:
    """Raises the limit of open files to the maximum: a call takes two connections, and the usual limit is too low."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
