"""Serves an App's pod from its start to its end: listens at once, loads the flow meanwhile, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from dynamiq_runtime.connections import raise_file_limit
from dynamiq_runtime.engine import Engine
from dynamiq_runtime.keys import AccessKeys
from dynamiq_runtime.logs import log
from dynamiq_runtime.server import Server
from dynamiq_runtime.settings import Settings
from dynamiq_runtime.threads import in_thread


async def serve(settings: Settings, load: Callable[[], Engine], keys: AccessKeys | None) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Raises PortError, and the errors of `load`."""
    raise_file_limit()
    server = Server(settings, keys)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port, metrics_port = await server.start()
    log(
        "listening",
        port=port,
        metrics_port=metrics_port,
        app=settings.app,
        workflow_version=settings.workflow_version,
        engine=settings.engine,
    )
    stopping = asyncio.ensure_future(stop.wait())
    loading = asyncio.ensure_future(in_thread(load))
    await asyncio.wait({stopping, loading}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        engine = loading.result()
        server.begin(engine)
        log("serving", port=port, nodes=engine.nodes)
    if keys is not None and not len(keys):
        log("there is no Access Key yet: every caller is refused", level="warning")
    await stopping
    log("draining", drain_seconds=settings.drain)
    await server.drain()
    await server.close()
    log("stopped")
