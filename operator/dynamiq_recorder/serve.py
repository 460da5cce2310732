"""Runs one recorder from start to end. It acknowledges only stored runs; runs under way at SIGTERM are still stored and acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette

from dynamiq_operator.kube.client import Client
from dynamiq_operator.model.json_lines import FIELDS
from dynamiq_operator.serving.connections import ConnectionLimits, LimitedProtocol, server_config
from dynamiq_operator.serving.tls import Certificate, Pair
from dynamiq_recorder.cluster import connect
from dynamiq_recorder.http.app import create_app, create_metrics, create_probes
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

DRAIN = 20
"""Seconds in which requests may finish after SIGTERM."""
READ_AGAIN = 30.0
"""Seconds between two checks of the certificate and the prices."""

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


class FewConnections(LimitedProtocol):
    """Connection limits of ports that only a kubelet and a few Prometheus servers use."""

    limits = ConnectionLimits(head_bytes=8 * 1024, address=32, total=256)


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to its caller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(options: Options, stop: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop` is set.

    Raises OSError if a port is taken or a certificate cannot be read, and cluster.NoCluster.
    """
    stopping = stop or _signalled()
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
    server = _server(create_app(context), options, options.port, certificate=certificate)
    # Probes have a port of their own: load on the public port must not fail them.
    probes = _server(create_probes(context), options, options.health_port, FewConnections)
    exposed = _server(create_metrics(context.metrics.registry), options, options.metrics_port, FewConnections)
    beside = [
        asyncio.create_task(context.apps.informer.run()),
        asyncio.create_task(_attribute(context)),
        asyncio.create_task(_read_again(certificate, prices)),
    ]
    stopped: asyncio.Task[Any] = asyncio.create_task(stopping.wait())
    served = [asyncio.create_task(_served(each)) for each in (server, probes, exposed)]
    log.info("the recorder serves", extra={FIELDS: {"port": options.port, "store": options.kind}})
    try:
        await asyncio.wait({*beside, stopped, *served}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*beside, *served):
            if task.done():
                task.result()  # an error of any part ends the process, which is then restarted
        log.info("the recorder ends")
    finally:
        server.should_exit = True
        await asyncio.wait({served[0]}, timeout=DRAIN + 5)  # probes are answered until requests have finished
        probes.should_exit = exposed.should_exit = True
        await asyncio.wait(served[1:], timeout=1)
        for task in (*beside, stopped, *served):
            task.cancel()
        await asyncio.gather(*beside, stopped, *served, return_exceptions=True)


def _server(
    app: Starlette,
    options: Options,
    port: int,
    protocol: type[LimitedProtocol] = LimitedProtocol,
    certificate: Certificate | None = None,
) -> Server:
    config = server_config(app, options.host, port, DRAIN, protocol, certificate, loop="none", lifespan="off")
    config.load()
    return Server(config)


async def _served(server: Server) -> None:
    try:
        await server.serve()
    except SystemExit:  # uvicorn has logged the reason: its port is taken
        raise OSError(f"port {server.config.port} is taken") from None


async def _attribute(context: Context) -> None:
    """Follows rows once all Apps are listed, since each row needs its App."""
    await context.apps.informer.listed.wait()
    await context.attribution.informer.run()


async def _read_again(certificate: Certificate | None, prices: PriceFile) -> None:
    """Reads the prices and the certificate again when they have changed."""
    while True:
        await asyncio.sleep(READ_AGAIN)
        await asyncio.to_thread(prices.read)
        if certificate is not None:
            await asyncio.to_thread(certificate.refresh)


def _signalled() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
