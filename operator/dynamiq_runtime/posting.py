"""Posts a callback: its host is resolved once, each address is checked, and the connection goes to a checked one. It keeps nothing.

No redirect is followed, and no proxy of the environment used. Neither a URL nor a token is logged, or part of an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from dynamiq_runtime.addresses import are_allowed, host_of, is_allowed, is_literal
from dynamiq_runtime.recorder_client import seconds_of

IN_ALL = 10.0  # seconds of one attempt, from the name to the answer
ANSWER_LIMIT = 64 << 10  # bytes that are read of an answer
UNREACHABLE, FORBIDDEN, UNTRUSTED = "unreachable", "address_not_allowed", "certificate_not_trusted"
"""Why no answer came: none in time, or no connection; an address where callbacks may not go; a certificate."""
RETRY_AFTER_MOST = 3600.0  # seconds

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
GetAddressInfo = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Answer:
    """The result of an attempt: the status of its answer, or an error. `retry_after`: seconds; None without the header."""

    status: int | None
    error: str | None = None
    retry_after: float | None = None


class _ForbiddenError(OSError):
    """A host has an address where callbacks may not go."""


class Poster:
    """Sends callbacks, for one event loop. `lookup`: resolves a host as socket.getaddrinfo does. `at_once`: names resolved at a time."""

    def __init__(self, at_once: int, lookup: GetAddressInfo = socket.getaddrinfo, within: float = IN_ALL) -> None:
        # Threads of its own: a name server that keeps one waiting must not delay the journal's name.
        self._names = ThreadPoolExecutor(at_once, "callback-names")
        self._lookup, self._within = lookup, within
        self._trust: ssl.SSLContext | None = None

    def close(self) -> None:
        """Waits for no name."""
        self._names.shutdown(wait=False, cancel_futures=True)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, listed: bool) -> Answer:
        """Sends a callback, and returns what came of it. `listed`: True if the App lists the host, which may then have internal addresses."""
        host = host_of(url)
        # Old forms of addresses, such as 127.1, are not left to what reads them.
        if host is None or (is_literal(host) and not is_allowed(host, listed=listed)):
            return Answer(None, FORBIDDEN)
        until = asyncio.get_running_loop().time() + self._within
        try:
            async with self._session(await self._trusted(), listed=listed) as session:
                async with asyncio.timeout_at(until):
                    answer = await session.post(url, data=body, headers=headers, allow_redirects=False)
                await _read(answer, until)
                return Answer(answer.status, None, seconds_of(answer.headers.get("Retry-After"), RETRY_AFTER_MOST))
        except aiohttp.ClientConnectorCertificateError:
            return Answer(None, UNTRUSTED)
        except aiohttp.ClientConnectorError as error:
            return Answer(None, FORBIDDEN if isinstance(error.os_error, _ForbiddenError) else UNREACHABLE)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            return Answer(None, UNREACHABLE)

    async def _trusted(self) -> ssl.SSLContext:
        """Returns the TLS settings, which are loaded once, in a thread: that takes 20 ms."""
        if self._trust is None:
            self._trust = await asyncio.to_thread(ssl.create_default_context)
        return self._trust

    def _session(self, trust: ssl.SSLContext, *, listed: bool) -> aiohttp.ClientSession:
        """Returns a session for one attempt: what one host may is not what another may."""
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self._names, self._lookup, listed=listed),
            socket_factory=partial(_checked_socket, listed=listed),
            use_dns_cache=False,
            force_close=True,
            ssl=trust,
        )
        return aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )


class _Resolver(AbstractResolver):
    """A resolver of one attempt. It raises _ForbiddenError for a host with any address where callbacks may not go."""

    def __init__(self, threads: ThreadPoolExecutor, lookup: GetAddressInfo, *, listed: bool) -> None:
        self._threads, self._lookup, self._listed = threads, lookup, listed

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        find = partial(self._lookup, host, port, family=family, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, find)
        if not are_allowed((str(address[0]) for *_, address in found), listed=self._listed):
            raise _ForbiddenError
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=_NUMERIC)
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Has nothing to close."""


def _checked_socket(address: aiohttp.AddrInfoType, *, listed: bool) -> socket.socket:
    """Returns the socket for a connection to this very address. A host that is an address itself comes by no resolver, but through here."""
    if not is_allowed(str(address[4][0]), listed=listed):
        raise _ForbiddenError
    return socket.socket(*address[:3])


async def _read(answer: aiohttp.ClientResponse, until: float) -> None:
    """Reads some of an answer, so that its sender can end. Its status is known, so an answer that breaks off is one, too."""
    left = ANSWER_LIMIT
    with contextlib.suppress(aiohttp.ClientError, OSError, ValueError, TimeoutError):
        async with asyncio.timeout_at(until):
            while left > 0 and (chunk := await answer.content.read(left)):
                left -= len(chunk)
    answer.close()
