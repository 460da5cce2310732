"""Listens on a port, and says in one line which one it can't have."""

from __future__ import annotations

from aiohttp import web


class PortError(Exception):
    """A port can't be listened on; the message names it, and the variable that chooses it."""


async def listen(runner: web.AppRunner, port: int, variable: str) -> int:
    """Listens and returns the port, which is the system's choice when it is 0. Raises PortError."""
    await runner.setup()
    try:
        await web.TCPSite(runner, None, port, backlog=1024, reuse_address=True).start()
    except OSError as error:
        raise PortError(f"it can't listen on port {port}, which {variable} chooses: {error.strerror or error}") from None
    # Port 0 is another port for each address family; callers on loopback mean IPv4's, whose addresses are pairs.
    chosen: int = min(runner.addresses, key=len)[1]
    return chosen
