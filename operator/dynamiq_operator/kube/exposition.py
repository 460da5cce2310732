"""Serves /metrics on a port of its own, in the text format of Prometheus.

It is plain HTTP without a token: no Service and no hostname may lead to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BACKLOG = 128
SMALL: dict[str, Any] = {"max_line_size": 1024, "max_field_size": 4096, "max_headers": 32}
"""Limits of a head and of trailers, since everybody in the cluster can reach the port. The server's defaults keep a megabyte of each."""
MOST = 64
"""Connections of such a port at most. Beyond, a new one ends another: the oldest one of the address that has the most."""


class PortTaken(OSError):  # noqa: N818 - it says what is
    """A port that cannot be listened on."""


def bound(host: str | None, port: int, of: str = "/metrics") -> socket.socket:
    """Returns a listening socket. `host`: None for every address, including IPv6 if available. `of`: the use of the port, for the message.

    Raises PortTaken.
    """
    both = host is None and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in (host or "") else socket.AF_INET
    try:
        return socket.create_server((host or "", port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise PortTaken(f"cannot listen on port {port} of {of}: {error.strerror or error}") from error


async def served(app: web.Application, listening: socket.socket, idle: float) -> web.AppRunner:
    """Serves an application on the socket, and returns its runner. `idle`: seconds for which a connection is kept without a request."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await _Port(runner, listening, idle).start()
    return runner


class _Port(web.BaseSite):
    name = ""

    def __init__(self, runner: web.AppRunner, listening: socket.socket, idle: float) -> None:
        super().__init__(runner)
        self._listening, self._idle = listening, idle

    async def start(self) -> None:
        await super().start()
        loop, of_port = asyncio.get_running_loop(), dict[_Connection, str]()
        factory = partial(
            _Connection, self._runner.server, of_port=of_port, loop=loop, access_log=None, keepalive_timeout=self._idle, **SMALL
        )
        self._server = await loop.create_server(factory, sock=self._listening, backlog=BACKLOG)


class _Connection(web.RequestHandler):
    """One connection. `of_port`: all connections of the port with their addresses, the oldest first."""

    __slots__ = ("_of_port",)

    def __init__(self, *arguments: Any, of_port: dict[_Connection, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._of_port = of_port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._of_port[self] = str((transport.get_extra_info("peername") or ("",))[0])
        if len(self._of_port) > MOST:
            ((most, _),) = Counter(self._of_port.values()).most_common(1)
            oldest = next(each for each, address in self._of_port.items() if address == most)
            del self._of_port[oldest]
            if oldest.transport is not None:
                oldest.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._of_port.pop(self, None)
        super().connection_lost(exc)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = web.Response(status=status)  # an error of the client: the log needs no traceback
        response.force_close()
        return response


@contextlib.asynccontextmanager
async def metrics_served(listening: socket.socket | None, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Serves the metrics of `registry` on a socket until the block is left; does nothing without a socket."""
    if listening is None:
        yield
        return

    async def render(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": METRICS_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", render)
    runner = await served(app, listening, 75)
    try:
        yield
    finally:
        await runner.cleanup()


async def serve_metrics(listening: socket.socket | None, registry: CollectorRegistry) -> None:
    """Serves the same until it is cancelled."""
    async with metrics_served(listening, registry):
        await asyncio.Event().wait()
