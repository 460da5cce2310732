"""Makes sockets that notice a peer that went away without a word, with its address or its node."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import aiohttp


def lasting(options: Sequence[tuple[str, int]]) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    """Returns the maker of such sockets. `options`: of TCP, by their names; those that the system does not know are left out."""

    def make(address: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options:
            if hasattr(socket, name):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return made

    return make
