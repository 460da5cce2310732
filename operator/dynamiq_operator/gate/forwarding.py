"""Hands one call to one pod, byte by byte in both directions, and what the pod answers to the caller.

Nothing is kept, decoded or sent twice: a call that may have reached a pod is never tried again, since nobody knows what came of it. The
connection to the pod ends with the call. There is no limit of time: runs take minutes, and streams are silent meanwhile.
"""

from __future__ import annotations

import asyncio
import asyncio.trsock
import socket
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from dynamiq_operator.gate import answers
from dynamiq_operator.gate.callers import BESIDE_MAX, HEAD_MAX, Caller, Reading
from dynamiq_operator.gate.limits import ANSWERED, PARSED
from dynamiq_operator.gate.slices import Pod

CONNECT_WITHIN = 3.0
"""Seconds: between pods of a cluster a connection takes milliseconds."""
DEAD_AFTER = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Seconds, seconds, and a count: a connection to a node that is gone is given up after a minute."""
HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "trailers", "transfer-encoding", "upgrade", "expect"),
    }
)
END_TO_END = ("x-forwarded-", "authorization", "content-", "host")
"""What a caller's header Connection cannot take away."""
ADDED_BY_CLIENT = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that the HTTP client would add by itself."""
LINE_MAX = HEAD_MAX
"""Bytes of a header that a pod may answer with."""
BUFFER = 1024
"""Bytes of an answer that are read ahead, twice."""
KERNEL = 64 * 1024
"""Bytes, of which the kernel keeps twice as many of a connection in each direction: by itself it takes megabytes of our memory."""


_TAKES: ContextVar[Callable[[int], bool]] = ContextVar("takes")
"""Of the call for which a connection is made: takes more bytes of its namespace's share."""


class NotSent(Exception):  # noqa: N818 - the caller of `forward` decides what comes of it
    """The pod could not be reached, and has seen nothing of the call."""


class Forwarder:
    """Connections to pods. Use it as an async context manager. `body_limit`: bytes of a call's body; `taken_within`: seconds for a part of an answer."""

    def __init__(self, body_limit: int, taken_within: float) -> None:
        self._body_limit, self._taken_within = body_limit, taken_within

    async def __aenter__(self) -> Forwarder:
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=0, force_close=True, socket_factory=_socket),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=ADDED_BY_CLIENT,
            middlewares=(_once,),
            auto_decompress=False,
            read_bufsize=BUFFER,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def check(self, request: web.BaseRequest) -> None:
        """Raises answers.Refusal for what no pod is given."""
        if request.method == "CONNECT" or request.raw_path == "*":
            raise answers.no_path()
        try:
            request.raw_path.encode()
            for name, value in request.headers.items():
                (name + value).encode()
        except UnicodeEncodeError:
            raise answers.malformed() from None
        if (request.content_length or 0) > self._body_limit:
            raise answers.too_large(self._body_limit)

    async def forward(self, request: web.BaseRequest, pod: Pod, take: Callable[[int], bool]) -> web.StreamResponse:
        """Raises NotSent where the pod could not be reached, answers.Refusal where it did not answer.

        `take`: takes bytes for the answer's head, beyond those that are counted already, and returns whether there were as many.
        """
        _TAKES.set(take)
        body = Body(request, self._body_limit)
        try:
            response = await self._session.request(
                request.method,
                _url(pod, request),
                headers=_kept(request.headers),
                data=body.chunks() if request.body_exists else None,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise (answers.too_large(self._body_limit) if body.is_too_large else answers.broken()) from error
        async with response:
            return await _passed_on(request, response, self._taken_within)


class _Connector(aiohttp.TCPConnector):
    """Connections whose answers have a head that is bounded as a whole: the client bounds each header, which together is megabytes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast(partial[ResponseHandler], partial(_Pod, loop=self._loop))


class _Pod(ResponseHandler, Reading):
    """One connection to a pod, ended where its answer's head or trailers have no end, or where there is no room for its head."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._take = _TAKES.get()
        self._of_head, self._of_body, self._beside = 0, 0, 0

    def data_received(self, data: bytes) -> None:
        """Reads on, or ends the connection."""
        super().data_received(data)
        if self.transport is not None and not self._is_within(len(data)):
            self.transport.abort()

    def _is_within(self, received: int) -> bool:
        """Counts bytes: of a head until it is whole, those of interim answers before it among them, then those that bring no body."""
        if self._payload is None or self._payload is EMPTY_PAYLOAD:
            counted = max(self._of_head, ANSWERED)
            self._of_head += received
            return self._of_head <= HEAD_MAX and self._take(PARSED * max(self._of_head - counted, 0))
        has_grown = self._payload.total_bytes > self._of_body
        self._of_body = self._payload.total_bytes
        self._beside = 0 if has_grown else self._beside + received
        return self._beside <= BESIDE_MAX


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Sends a call. Where it ended without an answer the HTTP client would send a GET a second time, and some others, but for this error."""
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientError(str(error)) from error


class Body:
    """The body of a call as it comes."""

    def __init__(self, request: web.BaseRequest, limit: int) -> None:
        self._request, self._limit = request, limit
        self.is_too_large = False

    async def chunks(self) -> AsyncGenerator[bytes]:
        if self._request.headers.get("Expect", "").lower() == "100-continue":
            # Only now: who is refused or has to wait long sends nothing in vain.
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._request.writer.output_size = 0
        sent = 0
        async for chunk in self._request.content.iter_any():
            sent += len(chunk)
            if sent > self._limit:
                self.is_too_large = True
                raise aiohttp.ClientPayloadError("the body is too large")
            yield chunk


async def _passed_on(request: web.BaseRequest, response: aiohttp.ClientResponse, taken_within: float) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, reason=response.reason, headers=_kept(response.headers))
    answer.force_close()  # the next call is to find the pods, and not this connection
    await answer.prepare(request)
    try:
        async for chunk in response.content.iter_any():
            async with asyncio.timeout(taken_within):
                await answer.write(chunk)
    except (aiohttp.ClientError, OSError):  # a TimeoutError is one
        cast(Caller, request.protocol).end()  # what has begun can't be answered otherwise, and must not look whole
    return answer


def _kept(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """What is meant for the other end, in its order; a header may be there more than once."""
    named = {name.strip().lower() for line in headers.getall("Connection", ()) for name in line.split(",")}
    dropped = HOP_BY_HOP | {name for name in named if not name.startswith(END_TO_END)}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


def _url(pod: Pod, request: web.BaseRequest) -> URL:
    host = f"[{pod.address}]" if ":" in pod.address else pod.address
    path = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
    return URL(f"http://{host}:{pod.port}{path}", encoded=True)


def keep_alive(connection: socket.socket | asyncio.trsock.TransportSocket) -> None:
    """Has the kernel find out whether the other end is still there: a call that takes long cannot be told from one that is gone by time."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in DEAD_AFTER:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def bounded(connection: socket.socket | asyncio.trsock.TransportSocket) -> None:
    """Limits what the kernel keeps where one end sends faster than the other takes. Connections that a port accepts inherit it."""
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, KERNEL)


def _socket(found: aiohttp.AddrInfoType) -> socket.socket:
    made = socket.socket(found[0], found[1], found[2])
    keep_alive(made)
    bounded(made)
    return made
