"""/metrics on a port of its own, in the text format of Prometheus: plain HTTP and no token, so no Service and no hostname leads to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BACKLOG = 16
SMALL: dict[str, Any] = {"max_line_size": 1024, "max_field_size": 4096, "max_headers": 32}
"""What is kept of a head and of trailers at a port that everybody in the cluster reaches; the server's defaults keep a megabyte of each."""


class PortTaken(OSError):  # noqa: N818 - it says what is
    """The port of metrics cannot be listened on."""


def bound(host: str | None, port: int) -> socket.socket:
    """A socket that listens; `host`: None is every address, those of IPv6 among them where there are any. Raises PortTaken."""
    both = host is None and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in (host or "") else socket.AF_INET
    try:
        return socket.create_server((host or "", port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise PortTaken(f"port {port} of /metrics cannot be listened on: {error.strerror or error}") from error


@contextlib.asynccontextmanager
async def metrics_served(listening: socket.socket | None, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Serves the metrics of `registry` on a socket until the block is left; nowhere without one."""
    if listening is None:
        yield
        return

    async def render(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": METRICS_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", render)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=75, shutdown_timeout=1, **SMALL)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()


async def serve_metrics(listening: socket.socket | None, registry: CollectorRegistry) -> None:
    """The same until it is cancelled."""
    async with metrics_served(listening, registry):
        await asyncio.Event().wait()
