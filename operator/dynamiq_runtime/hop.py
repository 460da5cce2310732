"""Sends a turn on to a pod of the version that its conversation is on, and the answer back: one hop, never two.

A request is sent once more only if no pod took a byte of it. The pod in the middle executes nothing, and counts no run.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from dynamiq_runtime.callers import digest_of, session_of
from dynamiq_runtime.connections import Connection
from dynamiq_runtime.conversations import Conversations, Place
from dynamiq_runtime.delivery import PIECE, write
from dynamiq_runtime.errors import HttpError
from dynamiq_runtime.fields import RunRequest
from dynamiq_runtime.hop_body import Body, body_of
from dynamiq_runtime.metrics import HOP_BROKEN, SESSION_UNREACHABLE, Metrics
from dynamiq_runtime.rows import HOP, HOP_ROW, PASSED_ON, note_row
from dynamiq_runtime.sockets import lasting

REACH_WITHIN = 30.0  # seconds for a pod of the version: it may have to start
AGAIN, AGAIN_MOST = 0.1, 0.5  # seconds between two tries to reach one
ASKED = 3  # times that a turn may turn out to belong elsewhere
CONNECT_WITHIN = 3.0
ADDRESS_FOR = 5  # seconds for which the address of a Service is remembered
DEAD_AFTER = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 90_000))
"""Seconds until a silent connection is tried, and between tries; tries; milliseconds that a pod may leave a body unread.

The last is longer than a body may wait for room.
"""
RETRY_AFTER = "1"
LEFT, CUT_OFF = "left", "cut_off"
OF_CONNECTION = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
"""Headers of one connection, as RFC 9110 lists them, and of proxies."""
NOT_SENT = OF_CONNECTION | {"content-length", "content-encoding", "expect", "origin", HOP.lower(), HOP_ROW.lower()}
"""Headers of a request that are not sent on. The body has been read, decompressed; the first pod answers for the page that called."""
NOT_RETURNED = OF_CONNECTION | {"content-length", "date", "server"}
BY_ITSELF = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT)
"""Headers that the client would add."""


class _UnreachableError(Exception):
    """No pod took a byte of the request."""


class _ElsewhereError(Exception):
    """The conversation is not on these pins, or not any more. Nothing was executed."""


class Turns:
    """Answers turns of conversations, here or by a hop. `most`: hops at a time."""

    def __init__(self, conversations: Conversations, app_id: str, metrics: Metrics, most: int) -> None:
        self._conversations, self._app_id, self._metrics, self._most = conversations, app_id, metrics, most
        self._client: aiohttp.ClientSession | None = None
        self._ends: set[asyncio.Future[str]] = set()

    def row_of(self, pins: str | None) -> int | None:
        """Returns the newest row of some pins; None if it is unknown, or there are no conversations."""
        return self._conversations.row_of(pins)

    async def answered(
        self, request: web.Request, parsed: RunRequest, here: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answers a call by `here`, or by a hop if it is a turn of a conversation on other pins. Raises HttpError, and ConnectionError."""
        if HOP in request.headers:
            return await here()
        session = session_of(request.headers, parsed.session)
        if session is None or not await self._conversations.may_be_kept():
            return await here()
        digest = digest_of(session)
        with self._conversations.turn(digest):
            for _ in range(ASKED):
                place = await self._conversations.place(digest)
                note_row(request, place.sequence)
                if place.pins == self._conversations.pins:
                    return await here()
                try:
                    return await self._until_it_ends(request, self._pass_on(request, parsed, place))
                except _ElsewhereError:
                    self._conversations.forget(digest)
            raise _unreachable()

    def cut_off(self) -> None:
        """Gives up every hop under way."""
        for each in self._ends:
            if not each.done():
                each.set_result(CUT_OFF)

    async def close(self) -> None:
        """Closes its connections."""
        if self._client is not None:
            await self._client.close()

    async def _until_it_ends(self, request: web.Request, hop: Coroutine[Any, Any, web.StreamResponse]) -> web.StreamResponse:
        """Returns the answer of a hop. Ends it once the caller has left, or this pod's time is over."""
        if len(self._ends) >= self._most:
            hop.close()
            raise HttpError(429, "too_many_runs", f"{self._most} turns are under way on other versions: try again", retry_after=RETRY_AFTER)
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ends.add(end)
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.on_lost = lambda: None if end.done() else end.set_result(LEFT)
        if request.transport is None:
            end.set_result(LEFT)
        passing = asyncio.create_task(hop)
        either: set[asyncio.Future[Any]] = {passing, end}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if passing.done():
                return passing.result()
            self._metrics.count_hop(end.result())
            if end.result() == LEFT or PASSED_ON in request:
                raise _lost(request)
            raise HttpError(503, "stopping", "this pod stops before the turn ended: try again", retry_after=RETRY_AFTER)
        finally:
            self._ends.discard(end)
            end.cancel()
            if isinstance(connection, Connection):
                connection.on_lost = None
            if not passing.done():
                passing.cancel()
                await asyncio.wait({passing})

    async def _pass_on(self, request: web.Request, parsed: RunRequest, place: Place) -> web.StreamResponse:
        """Tries to reach a pod of the version until one has the request."""
        body, until, pause = await body_of(request, parsed), time.monotonic() + REACH_WITHIN, AGAIN
        while True:
            if (service := self._conversations.service_of(place.pins)) is not None:
                with contextlib.suppress(_UnreachableError):
                    return await self._send(request, body, place, service)
            if self._conversations.is_closed(place.pins):
                raise _ElsewhereError
            if time.monotonic() >= until:
                self._metrics.count_hop("unreachable")
                raise _unreachable()
            self._conversations.wake(place.pins)
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_MOST)

    async def _send(self, request: web.Request, body: Body, place: Place, service: str) -> web.StreamResponse:
        # Each on a connection of its own: a kept one may be closed by the other side just now, and then nobody knows what it took.
        self._client = self._client or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=ADDRESS_FOR, socket_factory=lasting(DEAD_AFTER)),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=BY_ITSELF,
            auto_decompress=False,
        )
        headers = _sent(request, body, {HOP: f"{self._app_id}/{place.pins}", HOP_ROW: place.sequence})
        url = URL(f"http://{service}{request.raw_path}", encoded=True)
        try:
            async with await _begun(
                self._client.request(request.method, url, data=body.data(), headers=headers, allow_redirects=False)
            ) as answer:
                if answer.status == web.HTTPMisdirectedRequest.status_code:
                    self._metrics.count_hop("misdirected")
                    raise _ElsewhereError
                response = await _returned(request, answer)
        except _BrokenError:
            self._metrics.count_hop("broken")
            if PASSED_ON in request:
                raise _lost(request) from None
            raise HttpError(502, HOP_BROKEN, "the pod that answers this conversation broke off: the run may have begun") from None
        except ConnectionError:
            self._metrics.count_hop(LEFT)
            raise _lost(request) from None
        self._metrics.count_hop("answered")
        return response


class _BrokenError(Exception):
    """The other pod's answer ended in the middle."""


async def _begun(sending: Awaitable[aiohttp.ClientResponse]) -> aiohttp.ClientResponse:
    """Returns the answer once its head has come."""
    try:
        return await sending
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise _UnreachableError from None
    except (aiohttp.ClientError, OSError):
        raise _BrokenError from None


async def _returned(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Returns an answer as it came: a small one whole, others in parts while they come. Raises ConnectionError if the caller has left."""
    headers = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in NOT_RETURNED)
    if answer.content_length is not None and answer.content_length <= PIECE:
        body = b"".join([chunk async for chunk in _chunks(answer)])
        request[PASSED_ON] = True
        return web.Response(body=body, status=answer.status, reason=answer.reason, headers=headers)
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    response.content_length = answer.content_length
    request[PASSED_ON] = True
    await response.prepare(request)
    async for chunk in _chunks(answer):
        await write(response, chunk)
    return response


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yields what the other pod sends, as it comes."""
    while True:
        try:
            chunk = await answer.content.readany()
        except (aiohttp.ClientError, OSError):
            raise _BrokenError from None
        if not chunk:
            return
        yield chunk


def _sent(request: web.Request, body: Body, added: dict[str, object]) -> CIMultiDict[str]:
    """Returns the headers of a request that is sent on."""
    named = {name.strip().lower() for value in request.headers.getall(hdrs.CONNECTION, ()) for name in value.split(",")}
    sent: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.items():
        if name.lower() not in NOT_SENT and name.lower() not in named:
            sent.add(name, value)
    sent.update(body.headers)
    sent.update({name: str(value) for name, value in added.items() if value is not None})
    return sent


def _lost(request: web.Request) -> ConnectionError:
    """Ends the caller's connection: a complete answer would be a lie. Returns the error."""
    if request.transport is not None:
        request.transport.abort()
    return ConnectionResetError("the answer was cut off")


def _unreachable() -> HttpError:
    message = "no pod of the version of this conversation answers: try again"
    return HttpError(503, SESSION_UNREACHABLE, message, retry_after=RETRY_AFTER)
