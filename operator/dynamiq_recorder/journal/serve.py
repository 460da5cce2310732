"""Runs one journal from start to end. It acknowledges only what is committed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.journal import JOURNAL_AUDIENCE, JOURNAL_NAMESPACE
from dynamiq_operator.serving.connections import ConnectionLimits, LimitedProtocol
from dynamiq_operator.serving.tls import Certificate, Pair
from dynamiq_recorder import servers
from dynamiq_recorder.cluster import connect
from dynamiq_recorder.identity.apps import Apps, KnownApp
from dynamiq_recorder.identity.pods import Pods
from dynamiq_recorder.identity.rights import Rights
from dynamiq_recorder.identity.tokens import NotNow, Tokens
from dynamiq_recorder.journal.committer import Committer
from dynamiq_recorder.journal.epoch import ClusterCopy, Epoch, EpochMap
from dynamiq_recorder.journal.http.app import create_app
from dynamiq_recorder.journal.http.context import Context
from dynamiq_recorder.journal.listening import Listener
from dynamiq_recorder.journal.model import Placed, SessionCounts
from dynamiq_recorder.journal.notices import Notices
from dynamiq_recorder.journal.observed import Metrics, OpenRuns, OpenSessions, PendingCallbacks
from dynamiq_recorder.journal.open_feed import OpenFeed
from dynamiq_recorder.journal.outbox import Outbox, Recorder
from dynamiq_recorder.journal.store import JournalStore
from dynamiq_recorder.journal.tables import OPEN_KEY, Key, placement_key
from dynamiq_recorder.journal.upkeep import Upkeep

PODS_FOR = 600.0
"""Seconds for which the review of a pod's token counts: a thousand pods at rest cost two reviews a second."""

log = logging.getLogger(__name__)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one process. `recorder`: None if ended runs are sent to none."""

    store: JournalStore
    host: str | None = None
    port: int = 8080
    health_port: int = 8081
    metrics_port: int = 9090
    full_at: float = 0.95
    namespace_bytes: int = 4 << 30
    recorder: Recorder | None = None
    tls: Pair | None = None
    kubeconfig: Path | None = None
    kube_context: str | None = None


class ManyConnections(LimitedProtocol):
    """Connection limits for pods: each has a long poll, and one for each caller who follows a run."""

    limits = ConnectionLimits(address=1024, total=16_384)


class Identity:
    """Who callers are, as the API server says."""

    def __init__(self, client: Client, namespace: str = JOURNAL_NAMESPACE) -> None:
        self._client = client
        self.epoch: ClusterCopy = EpochMap(client, namespace)
        self.tokens = Tokens(client, audience=JOURNAL_AUDIENCE, pods_for=PODS_FOR)
        self.apps, self.pods, self.rights = Apps(client), Pods(client), Rights(client)

    async def follow(self) -> None:
        """Follows the Apps until it is canceled."""
        await self.apps.informer.run()

    async def exists(self, app: KnownApp) -> bool:
        """Returns False if an App was deleted.

        Raises NotNow.
        """
        try:
            raw = await self._client.get(APPS, app.namespace, app.name)
        except errors.NotFound:
            return False
        except errors.ApiError as error:
            raise NotNow(f"the API server did not answer if the App exists: {error}") from error
        return bool(raw["metadata"].get("uid") == app.uid)


async def serve(options: Options, stop: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop` is set.

    Raises OSError if a port is taken or a certificate cannot be read, and cluster.NoCluster.
    """
    stopping = stop or servers.signalled()
    try:
        async with await connect(options.kubeconfig, options.kube_context) as client:
            await serve_for(options, Identity(client, os.environ.get("POD_NAMESPACE", JOURNAL_NAMESPACE)), stopping)
    finally:
        await asyncio.to_thread(options.store.close)
        log.info("the journal has ended")


async def serve_for(options: Options, identity: Identity, stopping: asyncio.Event) -> None:
    """Serves callers of an identity until `stopping` is set. The store stays open."""
    context = context_of(options, identity)
    try:
        await run(options, context, identity, stopping)
    finally:
        await asyncio.to_thread(context.committer.close)


def context_of(options: Options, identity: Identity) -> Context:
    """Returns what all requests share. Its committer has a thread, which its `close` ends."""
    metrics, notices, store = Metrics(), Notices(), options.store

    def sessions() -> Callable[[], SessionCounts]:
        return partial(_session_counts, store, identity.apps.with_sessions())

    share = store.share_polled if store.replica is not None else None
    feed = OpenFeed(store.open_runs, notices, share=share, sessions=sessions, callbacks=store.callback_counts)

    def notify(news: Iterable[Key]) -> None:
        feed.is_stale = feed.is_stale or OPEN_KEY in news
        notices.notify(news)

    def notify_all() -> None:
        feed.is_stale = True
        notices.notify_all()

    identity.apps.sessions_changed = lambda uid: notify([placement_key(uid), OPEN_KEY])
    metrics.registry.register(OpenRuns(lambda: feed.snapshot.runs if feed.snapshot is not None else (), store.clock))
    metrics.registry.register(OpenSessions(lambda: feed.snapshot.sessions.pins if feed.snapshot is not None else ()))
    metrics.registry.register(PendingCallbacks(lambda: feed.callbacks.pending))
    committer = Committer(store.commit, notify, metrics.commit_seconds.observe)
    return Context(
        store=store,
        committer=committer,
        notices=notices,
        feed=feed,
        tokens=identity.tokens,
        pods=identity.pods,
        apps=identity.apps,
        rights=identity.rights,
        metrics=metrics,
        full_at=options.full_at,
        namespace_bytes=options.namespace_bytes,
        turns=options.store.turns,
        listener=Listener(options.store.replica, notify, notify_all) if options.store.replica is not None else None,
    )


def _session_counts(store: JournalStore, apps: list[KnownApp]) -> SessionCounts:
    pins = store.conversations({each.uid: each.sessions.warm for each in apps if each.sessions is not None})
    digests = store.placements() if apps else {}
    placed = (Placed(each.namespace, each.name, each.uid, digests.get(each.uid)) for each in apps)
    return SessionCounts(pins, tuple(sorted(placed, key=lambda each: (each.namespace, each.app, each.app_uid))))


async def run(options: Options, context: Context, identity: Identity, stopping: asyncio.Event) -> None:
    certificate = Certificate(options.tls) if options.tls is not None else None
    upkeep = Upkeep(context, identity.exists, records=options.recorder is not None)
    epoch = Epoch(context.store, context.committer, identity.epoch)
    await upkeep.start()
    await epoch.start()
    beside = [
        epoch.run(stopping),
        identity.follow(),
        upkeep.run(stopping),
        context.feed.run(stopping, lambda error: log.warning("open runs cannot be counted: %s", error)),
        servers.read_again(*([certificate.refresh] if certificate is not None else [])),
    ]
    if context.listener is not None:
        beside.append(context.listener.run(stopping))
    if options.recorder is not None:

        async def app_exists(uid: str) -> bool:
            return identity.apps.get(uid) is not None or not identity.apps.is_listed

        beside.append(Outbox(context.store, context.committer, context.metrics, options.recorder, app_exists).run(stopping, context.leads))
    await servers.run(
        servers.Ports(options.host, options.port, options.health_port, options.metrics_port),
        create_app(context),
        context,
        context.metrics.registry,
        stopping,
        beside=beside,
        certificate=certificate,
        protocol=ManyConnections,
        on_stop=context.notices.close,
        name="the journal",
    )
