"""Listens on a port, and names one that it cannot have in one line."""

from __future__ import annotations

import asyncio
from functools import partial

from aiohttp import web

from dynamiq_runtime.connections import Connection, Connections


class PortError(Exception):
    """A port cannot be listened on; the message names it, and the variable that chooses it."""


async def listen(runner: web.AppRunner, port: int, variable: str) -> int:
    """Listens and returns the port, which the system chooses for 0. Raises PortError."""
    await runner.setup()
    try:
        await _Port(runner, port).start()
    except OSError as error:
        raise PortError(f"it can't listen on port {port}, which {variable} chooses: {error.strerror or error}") from None
    # Port 0 is another port for each address family. Callers on loopback use that of IPv4, whose addresses are pairs.
    chosen: int = min(runner.addresses, key=len)[1]
    return chosen


class _Port(web.BaseSite):
    """A port on every address, with bounded connections."""

    name = ""

    def __init__(self, runner: web.AppRunner, port: int) -> None:
        super().__init__(runner)
        self._port = port

    async def start(self) -> None:
        """Listens. Raises OSError."""
        await super().start()
        loop = asyncio.get_running_loop()
        made = partial(Connection, self._runner.server, among=Connections(), loop=loop, access_log=None)
        self._server = await loop.create_server(made, None, self._port, backlog=1024, reuse_address=True)
