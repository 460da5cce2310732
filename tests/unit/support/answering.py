"""Servers in the test's own event loop that answer each request by a coroutine of the test."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Answer = Callable[..., Awaitable[web.StreamResponse]]
TAKES_MOST = 1 << 24  # bytes of a body


def saying(what: Any = b"", status: int = 200, **headers: str) -> Answer:
    """Returns an answer that is always the same: bytes as they are, anything else as JSON."""

    async def answer(*_: Any) -> web.StreamResponse:
        return web.Response(body=what if isinstance(what, bytes) else json.dumps(what).encode(), status=status, headers=headers)

    return answer


async def never(*_: Any) -> web.StreamResponse:
    """Accepts the request, and never answers."""
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def served(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]], host: str = "127.0.0.1", trust: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serves `handle` at a port of its own, and yields the port. `trust`: serves by TLS."""
    app = web.Application(client_max_size=TAKES_MOST)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, 0, ssl_context=trust).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
