"""Serves the API until SIGTERM or SIGINT; requests under way are answered first."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.app import create_app
from dynamiq_operator.rest.kube.client import ApiServer

KEEP_ALIVE = 75
"""Seconds: longer than an ingress keeps a connection, so that it is never the server who ends it first."""
DRAIN = 25  # seconds


@dataclass(frozen=True)
class Options:
    """How one process serves."""

    settings: Settings
    host: str
    port: int
    kubeconfig: Path | None = None
    context: str | None = None


def serve(options: Options) -> None:
    """Raises kubernetes.config.ConfigException where the cluster's configuration cannot be read."""
    # uvicorn raises each signal once more when it has ended well: the exit code would be that of a process that was killed.
    for ends in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ends, lambda *_: sys.exit(0))
    app = create_app(ApiServer.connect(options.kubeconfig, options.context), options.settings)
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
    )
    uvicorn.Server(config).run()
