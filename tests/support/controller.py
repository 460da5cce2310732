"""Wires the parts of the operator's process to a scripted API server, for unit tests: real clients, and a clock that the test sets."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest import mock

import yaml

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
from dynamiq_operator.controller.execute.executor import Executor
from dynamiq_operator.controller.hostnames.claims import Claims
from dynamiq_operator.controller.leading.fenced import FencedClient
from dynamiq_operator.controller.leading.leader import LeaderElection, Timing
from dynamiq_operator.controller.notifications.addresses import Network
from dynamiq_operator.controller.notifications.cluster import ClusterAddresses
from dynamiq_operator.controller.notifications.delivery import Delivery
from dynamiq_operator.controller.notifications.notification_metrics import NotificationMetrics
from dynamiq_operator.controller.notifications.notifier import Notifier
from dynamiq_operator.controller.notifications.secrets import Secrets
from dynamiq_operator.controller.notifications.sinks import SinkRef
from dynamiq_operator.controller.notifications.takeover import Takeover
from dynamiq_operator.controller.observing.observe import Observer
from dynamiq_operator.controller.observing.stamps import Stamps
from dynamiq_operator.controller.reconciling.reconcile import Reconciler
from dynamiq_operator.controller.reconciling.workers import Workers
from dynamiq_operator.controller.telemetry.metrics import OperatorMetrics
from dynamiq_operator.controller.upkeep.gate_keys import GateKeys
from dynamiq_operator.controller.upkeep.lost_claims import LostClaims
from dynamiq_operator.controller.upkeep.orphan_approvals import OrphanApprovals
from dynamiq_operator.controller.upkeep.settings_recorder import SettingsRecorder
from dynamiq_operator.controller.watching.informers import Informers
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import client as kube_client
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.resources import LEASES, WATCHED, ApiResource
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.operations import Group, Operation, Plan
from tests.support import factories as given
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, failure, following, kubeconfig, listed

SYSTEM = OPERATOR_NAMESPACE
LEASE = LEASES.path(SYSTEM, "dynamiq-operator")
FIRST_KEY = "dynq_first"
NAMED = {"metadata": {"name": "any"}}
"""The least that an API server answers."""
QUICK = Timing(retry_period=0.001)
"""No wait between attempts; the test's clock measures how long a lease lasts."""


@dataclass
class Clock:
    """Monotonic seconds that the test advances."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += seconds


class NothingRecorded:
    """A stand-in for the recorder of settings that requests nothing."""

    def note(self, key: AppKey) -> None:
        """Ignores the App."""

    async def record(self, key: AppKey) -> None:
        """Records nothing."""


@dataclass
class Process:
    """The parts of one replica, wired as `controller.run` does."""

    client: Client
    script: Script
    namespaces: frozenset[str] | None = None
    settings: Settings = field(default_factory=Settings)
    clock: Clock = field(default_factory=Clock)
    metrics_port: int = 0
    """The port of the pods' reports; by default no server listens there."""
    recorder: RecorderAccess | None = None
    sink: SinkRef | None = None
    """The receiver of every namespace."""
    sinks_in: tuple[Network, ...] = ()
    journal: RecorderAccess | None = None
    records_settings: bool = False
    """True if reconciles record changes of settings, which takes more requests."""

    def __post_init__(self) -> None:
        self.cache, self.queue, self.states = Cache(self.settings.gate_namespace), WorkQueue[AppKey](), AppStates(self.clock)
        self.metrics = OperatorMetrics(lambda: self.queue.depth, lambda: self.queue.oldest, lambda: self.election.leads)
        self.gateway_api = GatewayApi(self.client, self.clock)
        self.denials = Denials(self.namespaces)
        self.informers = Informers(
            self.client, self.cache, self.queue, self.namespaces, self.gateway_api, self.denials, self.settings.gate_namespace
        )
        self.election = LeaderElection(self.client, SYSTEM, "dynamiq-operator", "replica-a", QUICK, self.clock)
        fenced = FencedClient(self.client, self.election)
        self.claims = Claims(fenced, self.cache, self.settings, SYSTEM, self.namespaces, self.clock)
        self.activity = ActivityReader(self.client.now, self.queue.add, self.metrics_port)
        self.comparisons = ComparisonReader(self.queue.add, self.recorder, self.clock)
        self.shapes = ShapesReader(self.queue.add, self.recorder, self.clock)
        self.archive = ArchiveWriter(self.client, self.queue.add, self.recorder, self.clock)
        self.placements = PlacementWriter(self.queue.add, self.journal, self.clock)
        self.open_runs = OpenRunsReader(self.queue.add, self.client.now, self.journal, self.clock, hear=self.placements.hear)
        self.holds = HoldWriter(self.queue.add, self.journal, self.clock)
        self.verifying = VerificationReader(self.client, self.client.now, self.queue.add, lambda: FIRST_KEY)
        self.observer = Observer(
            self.client,
            self.cache,
            self.settings,
            self.claims,
            self.gateway_api,
            self.states,
            self.election,
            self.denials,
            self.activity,
            self.comparisons,
            self.verifying,
            self.archive,
            self.open_runs,
            self.shapes,
            self.holds,
            self.placements,
        )
        self.executor = Executor(fenced, self.cache, self.states, self.claims, self.election, lambda: FIRST_KEY, self.metrics)
        delivery = Delivery(ClusterAddresses(self.client, self.sinks_in).allowed, plain_http=True)
        secrets = Secrets(self.client, SYSTEM, plain_http=True, clock=self.clock)
        takeover = Takeover(self.client, self.cache, self.observer.policies_in)
        self.notifier = Notifier(secrets, delivery, takeover, NotificationMetrics(self.metrics.registry), self.client.now, self.sink)
        self.election.notes = self.notifier.notes
        self.settings_recorder = SettingsRecorder(
            fenced, self.cache, self.states, Stamps(self.client, self.clock), SYSTEM, self.client.now, lambda count: b"k" * count
        )
        settings = self.settings_recorder if self.records_settings else cast(SettingsRecorder, NothingRecorded())
        self.reconciler = Reconciler(self.queue, self.observer, self.executor, self.states, self.metrics, self.notifier, settings)
        self.gate_keys = GateKeys(fenced, self.cache, self.denials, self.settings.gate_namespace, self.namespaces)
        self.orphan_approvals = OrphanApprovals(fenced, self.cache, self.denials, self.client.now)
        self.lost_claims = LostClaims(fenced, self.cache, self.claims, self.executor, SYSTEM)
        sweeps = self.gate_keys.sweep, self.orphan_approvals.sweep, self.lost_claims.search
        answered, begin = self.client.until_answered, self.lost_claims.begin
        self.workers = Workers(self.queue, self.cache, self.states, self.reconciler, answered, *sweeps, begin=begin)

    async def sync(self) -> None:
        """Lists every watched resource once."""
        lists = {asyncio.create_task(feed.list()): feed for feed in self.informers.feeds}
        try:
            while any(not task.done() and not feed.is_held for task, feed in lists.items()):
                await asyncio.wait(lists, timeout=0.01, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in lists:
                task.cancel()  # a task that waits for an API that is not served

    async def lead(self) -> Process:
        """Acquires the free lease; the script does not keep the requests for it."""
        self.script.on("GET", LEASE, failure(404, "NotFound"))
        self.script.on("POST", LEASES.path(SYSTEM), stored({"metadata": {"name": "dynamiq-operator"}}))
        await self.election.acquire()
        self.script.sent.clear()
        return self


async def execute(process: Process, app: AppKey, *operations: Operation) -> None:
    """Executes operations in order, as one group. Raises the error of the first that fails."""
    await process.lead()
    for failed in await process.executor.execute(app, Plan((Group("all", operations),))):
        raise failed.error


@asynccontextmanager
async def connected(script: Script, folder: Path) -> AsyncIterator[Client]:
    """Connects the operator's client to a scripted API server, by a kubeconfig."""
    # The server is a thread of this process: a pause of the whole process for three seconds is no outage of the API server.
    with ScriptedServer(script) as server, mock.patch.object(kube_client, "CONNECT_WITHIN", 60.0):
        path = folder / "kubeconfig.yaml"
        path.write_text(yaml.safe_dump(kubeconfig(server)))
        async with await Client.connect(path) as client:
            yield client


def stored(manifest: Manifest, version: int = 1, **status: Any) -> Manifest:
    """Returns a manifest as the API server answers with it."""
    meta = {
        "uid": f"uid-of-{manifest['metadata']['name']}",
        "namespace": given.NAMESPACE,
        **manifest["metadata"],
        "resourceVersion": str(version),
    }
    return {**manifest, "metadata": meta, **({"status": status} if status else {})}


def at(resource: ApiResource, name: str = "", subresource: str = "") -> str:
    """Returns the path of an object, or of a collection, in the tests' namespace."""
    return resource.path(given.NAMESPACE, name, subresource)


def empty_cluster(script: Script, namespace: str = "", *, without: frozenset[ApiResource] = frozenset()) -> Script:
    """Scripts every watched resource to have no object; those of `without` are not served."""
    for resource in WATCHED:
        answer = failure(404, "NotFound") if resource in without else listed(version="7")
        script.on("GET", resource.path(namespace if resource.namespaced else ""), answer)
    return script


class Watches:
    """The watch streams of a scripted API server: each gets the events of its resource, and is open until `close`."""

    def __init__(self, script: Script, *namespaces: str) -> None:
        self._closed = threading.Event()
        self._events: dict[str, queue.SimpleQueue[Manifest]] = {}
        self.opened: list[str] = []
        for path in {resource.path(namespace) for resource in WATCHED for namespace in namespaces or ("",)}:
            self._events[path] = queue.SimpleQueue()
            script.on("GET", path, self._stream, query={"watch": "true"})

    def send(self, resource: ApiResource, type_: str, raw: Manifest) -> None:
        """Sends a watch event."""
        self._events[resource.path()].put({"type": type_, "object": {"apiVersion": resource.api_version, "kind": resource.kind, **raw}})

    def close(self) -> None:
        self._closed.set()

    def _stream(self, sent: Sent) -> Reply:
        self.opened.append(sent.path)
        return Reply(stream=following(self._events[sent.path], self._closed.is_set))
