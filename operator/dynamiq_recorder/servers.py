"""Runs the servers of one process: its public port, and beside it those of probes and metrics. It knows no route."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from dynamiq_operator.model.json_lines import FIELDS
from dynamiq_operator.serving.connections import ConnectionLimits, LimitedProtocol, server_config
from dynamiq_operator.serving.request_log import RequestJsonLines
from dynamiq_operator.serving.tls import Certificate
from dynamiq_recorder.http.app import Readiness, create_metrics, create_probes

DRAIN = 20
"""Seconds in which requests may finish after SIGTERM."""
READ_AGAIN = 30.0
"""Seconds between two checks of files that may change."""

log = logging.getLogger(__name__)


class Ports(msgspec.Struct, frozen=True):
    """The ports of a process. `host`: None for every address."""

    host: str | None
    public: int
    health: int
    metrics: int


class FewConnections(LimitedProtocol):
    """Connection limits of ports that only a kubelet and a few Prometheus servers use."""

    limits = ConnectionLimits(head_bytes=8 * 1024, address=32, total=256)


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to its caller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(
    ports: Ports,
    app: Starlette,
    readiness: Readiness,
    registry: CollectorRegistry,
    stopping: asyncio.Event,
    *,
    beside: Sequence[Coroutine[Any, Any, None]],
    certificate: Certificate | None,
    protocol: type[LimitedProtocol] = LimitedProtocol,
    on_stop: Callable[[], None] = lambda: None,
    name: str = "the recorder",
) -> None:
    """Serves until `stopping` is set. `beside`: the work beside requests. `on_stop`: called when requests are about to be finished.

    Raises OSError if a port is taken, and the error of any part: the process then ends, and is restarted.
    """
    server = _server(app, ports.host, ports.public, protocol, certificate)
    # Probes have a port of their own: load on the public port must not fail them.
    probes = _server(create_probes(readiness), ports.host, ports.health, FewConnections)
    exposed = _server(create_metrics(registry), ports.host, ports.metrics, FewConnections)
    tasks = [asyncio.create_task(each) for each in beside]
    stopped: asyncio.Task[Any] = asyncio.create_task(stopping.wait())
    served = [asyncio.create_task(_served(each)) for each in (server, probes, exposed)]
    log.info("%s serves", name, extra={FIELDS: {"port": ports.public}})
    try:
        await asyncio.wait({*tasks, stopped, *served}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, *served):
            if task.done():
                task.result()
        log.info("%s ends", name)
    finally:
        on_stop()
        server.should_exit = True
        await asyncio.wait({served[0]}, timeout=DRAIN + 5)  # probes are answered until requests have finished
        probes.should_exit = exposed.should_exit = True
        await asyncio.wait(served[1:], timeout=1)
        for task in (*tasks, stopped, *served):
            task.cancel()
        await asyncio.gather(*tasks, stopped, *served, return_exceptions=True)


def _server(app: Starlette, host: str | None, port: int, protocol: type[LimitedProtocol], certificate: Certificate | None = None) -> Server:
    config = server_config(app, host, port, DRAIN, protocol, certificate, loop="none", lifespan="off")
    config.load()
    return Server(config)


async def _served(server: Server) -> None:
    try:
        await server.serve()
    except SystemExit:  # uvicorn has logged the reason: its port is taken
        raise OSError(f"port {server.config.port} is taken") from None


async def read_again(*reads: Callable[[], object]) -> None:
    """Reads files again, which may have changed, until it is canceled."""
    while True:
        await asyncio.sleep(READ_AGAIN)
        for each in reads:
            await asyncio.to_thread(each)


def signalled() -> asyncio.Event:
    """Returns an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def log_lines(level: str) -> None:
    """Logs lines of JSON from this level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(RequestJsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # anyone can send malformed requests: a warning for each would fill the log
