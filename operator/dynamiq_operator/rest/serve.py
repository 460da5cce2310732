"""Serves the API with uvicorn until SIGTERM or SIGINT, and drains requests before it exits."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from dynamiq_operator.kube.exposition import bound
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.console.options import ConsoleOptions
from dynamiq_operator.rest.http.recorder import RecorderOptions
from dynamiq_operator.rest.http.streams import Streams
from dynamiq_operator.rest.kube.client import ApiServer
from dynamiq_operator.rest.kube.id_index import IdIndex
from dynamiq_operator.serving.connections import server_config
from dynamiq_operator.serving.tls import Certificate, Pair

DRAIN = 25
"""Seconds to finish requests at shutdown."""
HANDSHAKE_WITHIN = 10.0  # seconds


@dataclass(frozen=True)
class ApiOptions:
    """The options of one process."""

    settings: Settings
    host: str
    port: int
    kubeconfig: Path | None = None
    context: str | None = None
    tls: Pair | None = None
    console: ConsoleOptions | None = None
    recorder: RecorderOptions | None = None
    metrics_port: int | None = None
    journal: RecorderOptions | None = None


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers limit the TLS handshake, which comes before every other limit. uvicorn has no option for it."""

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = HANDSHAKE_WITHIN
        return await super().create_server(*arguments, **options)


class Server(uvicorn.Server):
    """A server that ends its streams at the signal. Shutdown waits for requests under way, and they would last as long."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._streams.end()


def serve(options: ApiOptions) -> None:
    """Serves until a signal ends it.

    Raises kubernetes.config.ConfigException if the cluster's configuration cannot be read, exposition.PortTaken, and OSError if the
    certificate cannot be read.
    """
    # uvicorn raises the signal again after a clean shutdown: without a handler the exit code would say killed.
    for ends in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ends, lambda *_: sys.exit(0))
    # uvicorn warns about requests that anybody can send: one line for each would fill the log.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.levelno != logging.WARNING)
    server = ApiServer.connect(options.kubeconfig, options.context)
    listening = bound(options.host, options.metrics_port) if options.metrics_port is not None else None
    index = IdIndex(server.own)
    index.start()
    # Imported here: loading all routes takes a second, in which the index lists.
    from dynamiq_operator.rest.app import create_app

    app = create_app(server, index, options.settings, options.console, options.recorder, listening, options.journal)
    certificate = Certificate(options.tls) if options.tls is not None else None
    if certificate is not None:
        certificate.start()
    loop = f"{Loop.__module__}:{Loop.__name__}"
    config = server_config(app, options.host, options.port, DRAIN, certificate=certificate, loop=loop)
    Server(config, app.state.context.streams).run()
