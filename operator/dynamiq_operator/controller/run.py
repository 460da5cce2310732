"""Makes and wires the parts of the operator's process, and ends them in order on SIGTERM. It decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.background.activity import ActivityReader
from dynamiq_operator.controller.background.archiving import ArchiveWriter
from dynamiq_operator.controller.background.comparisons import ComparisonReader
from dynamiq_operator.controller.background.holding import HoldWriter
from dynamiq_operator.controller.background.open_runs import OpenRunsReader
from dynamiq_operator.controller.background.placing import PlacementWriter
from dynamiq_operator.controller.background.shapes import ShapesReader
from dynamiq_operator.controller.background.verifying import VerificationReader
from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.cached.denials import Denials
from dynamiq_operator.controller.cached.gateway_api import GatewayApi
from dynamiq_operator.controller.defaults import RECOVERS_WITHIN, RELIST_PERIOD
from dynamiq_operator.controller.execute.executor import Executor
from dynamiq_operator.controller.hostnames.claims import Claims
from dynamiq_operator.controller.leader_loop import lead
from dynamiq_operator.controller.leading.fenced import FencedClient
from dynamiq_operator.controller.leading.leader import EVERYWHERE, LeaderElection
from dynamiq_operator.controller.notifications.wiring import NotifyOptions, notifier
from dynamiq_operator.controller.observing.observe import Observer
from dynamiq_operator.controller.observing.stamps import Stamps
from dynamiq_operator.controller.reconciling.reconcile import Reconciler
from dynamiq_operator.controller.reconciling.workers import NAMESPACE_SHARE, Workers
from dynamiq_operator.controller.telemetry.live_rows import LiveRows
from dynamiq_operator.controller.telemetry.metrics import OperatorMetrics
from dynamiq_operator.controller.upkeep.admission_policies import watch_admission_policies
from dynamiq_operator.controller.upkeep.gate_keys import GateKeys
from dynamiq_operator.controller.upkeep.lost_claims import LostClaims
from dynamiq_operator.controller.upkeep.orphan_approvals import OrphanApprovals
from dynamiq_operator.controller.upkeep.settings_recorder import SettingsRecorder
from dynamiq_operator.controller.watching.informers import Informers
from dynamiq_operator.controller.watching.watch_loop import WatchScope, handle_signals, supervise, watch
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.exposition import bound, serve_metrics
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.model.settings import Settings

OBJECTS_MADE = 200_000
"""Allocations after which the garbage collector searches for cycles. One list makes many times Python's 700, and nearly no cycle."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OperatorOptions:
    """Options of the process. `namespaces`: empty is the whole cluster. `relist_period`, `recovers_within`: seconds. `metrics_port`: of
    every address.

    `recorder_token`, `journal_token`: files with the operator's tokens. `recorder_ca`, `journal_ca`: certificates that make them trusted.
    """

    settings: Settings
    identity: str
    lease_namespace: str
    lease_name: str
    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    health: str | None = None
    relist_period: float = RELIST_PERIOD
    recovers_within: float = RECOVERS_WITHIN
    metrics_port: int | None = None
    recorder_token: Path | None = None
    recorder_ca: Path | None = None
    journal_token: Path | None = None
    journal_ca: Path | None = None
    notify: NotifyOptions = field(default_factory=NotifyOptions)


async def run(options: OperatorOptions) -> None:
    """Keeps the process running until SIGTERM or SIGINT. Raises only if it cannot begin at all, such as exposition.PortTaken."""
    listening = bound(None, options.metrics_port) if options.metrics_port is not None else None
    synced, stopping, gate_namespace = asyncio.Event(), asyncio.Event(), options.settings.gate_namespace
    queue = WorkQueue[AppKey](lambda app: app[0], NAMESPACE_SHARE)
    async with (
        await Client.connect(options.kubeconfig, options.context) as client,
        client.apart() as lease_client,
        ActivityReader(client.now, queue.add) as activity,
        ComparisonReader(queue.add, _recorder(options)) as comparisons,
        ShapesReader(queue.add, _recorder(options)) as shapes,
        ArchiveWriter(client, queue.add, _recorder(options)) as archive,
        VerificationReader(client, client.now, queue.add, lambda: secrets.token_urlsafe(32)) as verifying,
        HoldWriter(queue.add, _journal(options)) as holds,
        PlacementWriter(queue.add, _journal(options)) as placements,
        contextlib.AsyncExitStack() as stack,
    ):
        cache, states = Cache(gate_namespace), AppStates()
        open_runs = OpenRunsReader(queue.add, client.now, _journal(options), hear=placements.hear)
        queue.close()  # until this replica leads
        namespaces = frozenset(options.namespaces) or None
        gateway_api = GatewayApi(client)
        denials = Denials(namespaces)
        informers = Informers(client, cache, queue, namespaces, gateway_api, denials, gate_namespace)
        election = LeaderElection(
            lease_client, options.lease_namespace, options.lease_name, options.identity, serves=",".join(sorted(namespaces or EVERYWHERE))
        )
        fenced = FencedClient(client, election)
        claims = Claims(fenced, cache, options.settings, options.lease_namespace, namespaces)
        orphan_approvals = OrphanApprovals(fenced, cache, denials, client.now)
        gate_keys = GateKeys(fenced, cache, denials, gate_namespace, namespaces)
        observer = Observer(
            *(client, cache, options.settings, claims, gateway_api, states, election, denials),
            *(activity, comparisons, verifying, archive, open_runs, shapes, holds, placements),
        )
        metrics = OperatorMetrics(lambda: queue.depth, lambda: queue.oldest, lambda: election.leads)
        metrics.registry.register(LiveRows(cache, lambda: election.leads))
        executor = Executor(fenced, cache, states, claims, election, lambda: f"dynq_{secrets.token_urlsafe(32)}", metrics)
        starting = notifier(options.notify, client, cache, options.settings.operator_namespace, observer.policies_in, metrics.registry)
        notifying = await stack.enter_async_context(starting)
        election.notes = notifying.notes
        settings = SettingsRecorder(
            fenced, cache, states, Stamps(client, states.clock), options.lease_namespace, client.now, secrets.token_bytes
        )
        reconciler = Reconciler(queue, observer, executor, states, metrics, notifying, settings)
        lost_claims = LostClaims(fenced, cache, claims, executor, options.lease_namespace)
        sweeps = gate_keys.sweep, orphan_approvals.sweep, lost_claims.search
        workers = Workers(queue, cache, states, reconciler, client.until_answered, *sweeps, begin=lost_claims.begin)
        scope = WatchScope(tuple(sorted({*options.namespaces, gate_namespace})) if options.namespaces else (), options.health)
        tasks = [
            asyncio.create_task(watch(scope, informers, stopping)),
            asyncio.create_task(supervise(client, informers.feeds, options.recovers_within)),
            asyncio.create_task(_sync(options.relist_period, informers, synced)),
            asyncio.create_task(watch_admission_policies(client, options.identity)),
            asyncio.create_task(open_runs.run()),
            asyncio.create_task(serve_metrics(listening, metrics.registry)),
            asyncio.create_task(lead(election, workers, notifying, cache, synced, stopping)),
        ]
        await _until_stopped(tasks, stopping)


async def _until_stopped(tasks: Sequence[asyncio.Task[None]], stopping: asyncio.Event) -> None:
    """Waits for SIGTERM or SIGINT, then for the last task, and cancels the others. Raises what ended one of them."""
    handle_signals(stopping)
    signalled = asyncio.create_task(stopping.wait())
    # None of the others ends by itself: one that did would leave a process that looks alive and does nothing.
    ended, _ = await asyncio.wait([signalled, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()
    log.info("stopping: finishing work in progress")
    await tasks[-1]
    for task in (signalled, *tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _recorder(options: OperatorOptions) -> RecorderAccess | None:
    url, token = options.settings.recorder, options.recorder_token
    return RecorderAccess(url, token, options.recorder_ca) if url is not None and token is not None else None


def _journal(options: OperatorOptions) -> RecorderAccess | None:
    url, token = options.settings.journal, options.journal_token
    return RecorderAccess(url, token, options.journal_ca) if url is not None and token is not None else None


async def _sync(period: float, informers: Informers, synced: asyncio.Event) -> None:
    """Sets `synced` once the cache is full, and lists everything again at intervals."""
    gc.set_threshold(OBJECTS_MADE)
    await informers.until_synced()
    gc.freeze()  # most of the cache lives as long as the process: a search in it finds nothing
    synced.set()
    while True:
        await asyncio.sleep(period)
        await informers.list_again()
