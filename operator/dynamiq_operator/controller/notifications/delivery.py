"""Attempts a delivery: one request to one address, which is checked before. It does not retry.

A host is resolved once for an attempt, and the connection goes to a checked address. A name that resolves to something else a moment later
leads nowhere else. No redirect is followed, and no proxy of the environment is used. Only the status of an answer is read.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from dynamiq_operator.controller.notifications.addresses import Allowed
from dynamiq_operator.controller.notifications.forms import Written
from dynamiq_operator.controller.notifications.sinks import Target

WITHIN = 5.0
"""Seconds for one attempt, the lookup of its host included."""
CONNECT_WITHIN = 3.0
LOOKUPS_AT_ONCE = 32
"""Hosts that are looked up at a time, each once. A resolver that hangs delays only the sinks of its hosts."""
PORTS = frozenset({443, 8443})
PLAIN_PORTS = frozenset({80, 8080})
"""Ports on the internet; in networks that --notify-allow-networks names every port is allowed."""

Resolve = Callable[[str, int], Sequence[str]]


class Lost(StrEnum):
    """Reasons why a notification was not delivered, as in the metric."""

    FULL = "full"
    SECRET = "secret"  # noqa: S105 - the Secret is missing, or cannot be used
    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STATUS = "status"
    REFUSED = "refused"
    RESTART = "restart"
    INTERNAL = "internal"


class NotDeliveredError(Exception):
    """A failed delivery. `again`: whether it may be delivered later. The message is for the log, and has nothing of the URL."""

    def __init__(self, reason: Lost, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.reason, self.again = reason, again


def system_addresses(host: str, port: int) -> Sequence[str]:
    """Returns the addresses of a host, as the system resolves it.

    Raises OSError.
    """
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in results]


class Delivery:
    """A sender of notifications. Use it as an async context manager.

    `allowed`: returns the allowed addresses, for each attempt. `plain_http`: whether ports of http are allowed.
    """

    def __init__(self, allowed: Callable[[], Awaitable[Allowed]], *, plain_http: bool = False, resolve: Resolve = system_addresses) -> None:
        self._allowed, self._ports, self._resolve = allowed, PORTS | (PLAIN_PORTS if plain_http else frozenset()), resolve
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, "notifications")
        self._lookups: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}
        self._trust: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(self, target: Target, what: Written) -> None:
        """Sends one notification.

        Raises NotDeliveredError.
        """
        try:
            async with asyncio.timeout(WITHIN):
                addresses = await self._addresses(target)
                status = await self._status(target, addresses, what)
        except TimeoutError:
            raise NotDeliveredError(Lost.TIMEOUT, f"no answer within {WITHIN:.0f} s") from None
        except aiohttp.ClientSSLError:
            raise NotDeliveredError(Lost.UNREACHABLE, "its certificate is not trusted, or TLS failed") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise NotDeliveredError(Lost.UNREACHABLE, "it cannot be reached, or does not answer by HTTP") from None
        if not 200 <= status < 300:
            again = status in (408, 425, 429) or status >= 500
            raise NotDeliveredError(Lost.STATUS if again else Lost.REFUSED, f"it answered {status}", again=again)

    async def _addresses(self, target: Target) -> Sequence[str]:
        """Returns the addresses of the host, to each of which a connection is allowed.

        Raises NotDeliveredError, and OSError of the lookup.
        """
        host, port = target.url.host or "", target.url.port or 0
        allowed, addresses = await self._allowed(), await self._looked_up(host, port)
        for address in addresses:
            if why := allowed.refusal(address):
                raise NotDeliveredError(Lost.FORBIDDEN, f"an address of its host is not allowed: {why}")
            if port not in self._ports and not allowed.named(address):
                raise NotDeliveredError(Lost.FORBIDDEN, f"port {port} is not allowed")
        if not addresses:
            raise NotDeliveredError(Lost.UNREACHABLE, "its host has no address")
        return addresses

    async def _looked_up(self, host: str, port: int) -> Sequence[str]:
        """Returns the host's addresses. Concurrent calls for a host wait for the same lookup."""
        lookup = self._lookups.get((host, port))
        if lookup is None:
            lookup = asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, host, port)
            self._lookups[(host, port)] = lookup
            lookup.add_done_callback(lambda done: self._end_lookup(host, port, done))
        return await asyncio.shield(lookup)

    def _end_lookup(self, host: str, port: int, done: asyncio.Future[Sequence[str]]) -> None:
        self._lookups.pop((host, port), None)
        if not done.cancelled():
            done.exception()  # nobody may wait for it any more

    async def _status(self, target: Target, addresses: Sequence[str], what: Written) -> int:
        written = what.signed(target.key, int(time.time())) if target.key is not None else what
        connector = aiohttp.TCPConnector(
            resolver=_CheckedAddresses(addresses),
            use_dns_cache=False,
            force_close=True,
            limit=1,
            ssl=target.trust or await self._of_system(),
        )
        timeout = aiohttp.ClientTimeout(total=WITHIN, sock_connect=CONNECT_WITHIN)
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout, auto_decompress=False, read_bufsize=1024
            ) as session,
            session.post(
                target.url, data=written.body, headers={**written.headers, "User-Agent": "dynamiq-operator"}, allow_redirects=False
            ) as response,
        ):
            return response.status  # its body is not read

    async def _of_system(self) -> ssl.SSLContext:
        """Returns the system's certificates, which take a while to load."""
        if self._trust is None:
            self._trust = await asyncio.to_thread(ssl.create_default_context)
        return self._trust


class _CheckedAddresses(AbstractResolver):
    """A resolver that returns the checked addresses of an attempt's only host."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in self._addresses
            if family in (socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET)
        ]

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""
