"""Runs one recorder from start to end. It acknowledges only stored runs; runs under way at SIGTERM are still stored and acknowledged."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from dynamiq_operator.kube.client import Client
from dynamiq_operator.serving.tls import Certificate, Pair
from dynamiq_recorder import servers
from dynamiq_recorder.cluster import connect
from dynamiq_recorder.http.app import create_app
from dynamiq_recorder.http.context import Context, Health
from dynamiq_recorder.identity.apps import Apps
from dynamiq_recorder.identity.rights import Rights
from dynamiq_recorder.identity.tokens import Tokens
from dynamiq_recorder.identity.writers import Writers
from dynamiq_recorder.ingest.queue import Limits, Queue
from dynamiq_recorder.observed import Metrics
from dynamiq_recorder.row_feed import Attribution
from dynamiq_recorder.store.results import Retention
from dynamiq_recorder.store.sql_store import Store
from dynamiq_recorder.table import PriceFile
from dynamiq_recorder.upkeep import Upkeep

log = logging.getLogger(__name__)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one process. `kind`: of the store, sqlite or postgresql. `host`: None for every address.

    `gate`, `operator`, `journal`: user names of their accounts; empty for none. `keep_archive`: seconds for which archived rows are kept after their
    App was deleted.
    """

    store: Store
    kind: str
    host: str | None = None
    port: int = 8080
    health_port: int = 8081
    metrics_port: int = 9090
    prices: Path | None = None
    keep: Retention = Retention()
    retains_every: float = 600.0
    limits: Limits = Limits()
    no_spans_at: float = 0.85
    full_at: float = 0.9
    app_share: float = 0.5
    gate: str = ""
    operator: str = ""
    journal: str = ""
    keep_archive: int = 400 * 86400
    tls: Pair | None = None
    kubeconfig: Path | None = None
    kube_context: str | None = None


async def serve(options: Options, stop: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop` is set.

    Raises OSError if a port is taken or a certificate cannot be read, and cluster.NoCluster.
    """
    stopping = stop or servers.signalled()
    metrics = Metrics(options.kind)
    prices = PriceFile(options.prices)
    queue = Queue(options.store, options.limits, metrics.committed)
    metrics.queue_depth.set_function(lambda: queue.depth)
    try:
        async with await connect(options.kubeconfig, options.kube_context) as client:
            context = _context(client, options, queue, metrics, prices)
            upkeep = Upkeep(context, options.keep, options.retains_every, options.keep_archive)
            upkeep.start()
            try:
                await _run(context, options, prices, stopping)
            finally:
                await asyncio.to_thread(queue.close)
                await asyncio.to_thread(upkeep.stop)
    finally:
        await asyncio.to_thread(queue.close)
        await asyncio.to_thread(options.store.close)
        log.info("the recorder has ended")


def _context(client: Client, options: Options, queue: Queue, metrics: Metrics, prices: PriceFile) -> Context:
    apps, rights = Apps(client), Rights(client)

    def app_uid(namespace: str, name: str) -> str | None:
        app = apps.named(namespace, name)
        return app.uid if app is not None else None

    return Context(
        store=options.store,
        queue=queue,
        tokens=Tokens(client),
        apps=apps,
        rights=rights,
        writers=Writers(client, apps, rights, options.gate, options.journal),
        attribution=Attribution(client, options.store, app_uid, apps.read, metrics.attributed_later.inc),
        metrics=metrics,
        prices=prices,
        health=Health(),
        keep=options.keep,
        operator=options.operator,
        no_spans_at=options.no_spans_at,
        full_at=options.full_at,
        app_share=options.app_share,
    )


async def _run(context: Context, options: Options, prices: PriceFile, stopping: asyncio.Event) -> None:
    certificate = Certificate(options.tls) if options.tls is not None else None
    await servers.run(
        servers.Ports(options.host, options.port, options.health_port, options.metrics_port),
        create_app(context),
        context,
        context.metrics.registry,
        stopping,
        beside=[
            context.apps.informer.run(),
            _attribute(context),
            servers.read_again(prices.read, *([certificate.refresh] if certificate is not None else [])),
        ],
        certificate=certificate,
    )


async def _attribute(context: Context) -> None:
    """Follows rows once all Apps are listed, since each row needs its App."""
    await context.apps.informer.listed.wait()
    await context.attribution.informer.run()
