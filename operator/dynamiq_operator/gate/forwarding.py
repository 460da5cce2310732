"""Forwards one call to one pod byte by byte, and the pod's response to the caller.

Nothing is stored, decoded or repeated. A call that may have reached a pod is never retried: its effect is unknown. The connection to the
pod ends with the call. There is no time limit: runs take minutes, and streams are silent meanwhile.
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
from dynamiq_operator.gate.callers import BESIDE_MAX, HEAD_MAX, Caller, SharedBufferProtocol
from dynamiq_operator.gate.limits import ANSWERED, PARSED
from dynamiq_operator.gate.slices import Pod

CONNECT_WITHIN = 3.0
"""Seconds. Between pods of a cluster, connecting takes milliseconds."""
DEAD_AFTER = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Seconds, seconds, and a count: a connection to a lost node is given up after a minute."""
HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "trailers", "transfer-encoding", "upgrade", "expect"),
    }
)
END_TO_END = ("x-forwarded-", "authorization", "content-", "host")
"""Headers that a caller's header Connection cannot remove."""
ADDED_BY_CLIENT = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that the HTTP client would add."""
LINE_MAX = HEAD_MAX
"""Bytes of one header in a pod's response."""
BUFFER = 1024
"""Bytes of a response that are read ahead, twice."""
KERNEL = 64 * 1024
"""Bytes. For each direction of a connection the kernel keeps twice as many; by default it takes megabytes of our memory."""


_TAKES: ContextVar[Callable[[int], bool]] = ContextVar("takes")
"""For the call whose connection is being made: takes more bytes of its namespace's share."""


class NotSent(Exception):  # noqa: N818 - the caller of `forward` decides what comes of it
    """The pod could not be reached and has received nothing of the call."""


class Forwarder:
    """Connections to pods; an async context manager.

    `body_limit`: bytes of a call's body. `taken_within`: seconds within which a caller takes a part of a response.
    """

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
        """Raises answers.CallRefusal for calls that are never forwarded."""
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
        """Forwards a call and returns the response.

        `take`: takes bytes for the response's head beyond those already counted; returns False if there are not enough.
        Raises NotSent if the pod could not be reached, answers.CallRefusal if it did not respond.
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
    """Connections that bound the head of a response as a whole. The client only bounds each header: together that is megabytes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast(partial[ResponseHandler], partial(_Pod, loop=self._loop))


class _Pod(ResponseHandler, SharedBufferProtocol):
    """One connection to a pod. It ends if the head or trailers of the response do not end, or if there is no room for the head."""

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
        """Counts the bytes of a head, including interim responses, until it is complete. Then counts bytes that add nothing to the body."""
        if self._payload is None or self._payload is EMPTY_PAYLOAD:
            counted = max(self._of_head, ANSWERED)
            self._of_head += received
            return self._of_head <= HEAD_MAX and self._take(PARSED * max(self._of_head - counted, 0))
        has_grown = self._payload.total_bytes > self._of_body
        self._of_body = self._payload.total_bytes
        self._beside = 0 if has_grown else self._beside + received
        return self._beside <= BESIDE_MAX


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Sends a call. Raises instead of letting aiohttp retry idempotent requests."""
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientError(str(error)) from error


class Body:
    """The body of a call, as it arrives."""

    def __init__(self, request: web.BaseRequest, limit: int) -> None:
        self._request, self._limit = request, limit
        self.is_too_large = False

    async def chunks(self) -> AsyncGenerator[bytes]:
        if self._request.headers.get("Expect", "").lower() == "100-continue":
            # Only now: a caller that is refused or waits long sends nothing in vain.
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
    answer.force_close()  # the next call must reach the pods, not this connection
    await answer.prepare(request)
    try:
        async for chunk in response.content.iter_any():
            async with asyncio.timeout(taken_within):
                await answer.write(chunk)
    except (aiohttp.ClientError, OSError):  # a TimeoutError is one
        cast(Caller, request.protocol).end()  # a response that has begun cannot become an error, and must not look complete
    return answer


def _kept(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Returns the end-to-end headers in their order. A header may occur more than once."""
    named = {name.strip().lower() for line in headers.getall("Connection", ()) for name in line.split(",")}
    dropped = HOP_BY_HOP | {name for name in named if not name.startswith(END_TO_END)}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


def _url(pod: Pod, request: web.BaseRequest) -> URL:
    host = f"[{pod.address}]" if ":" in pod.address else pod.address
    path = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
    return URL(f"http://{host}:{pod.port}{path}", encoded=True)


def keep_alive(connection: socket.socket | asyncio.trsock.TransportSocket) -> None:
    """Turns on TCP keepalive: no timeout can tell a long call from a lost peer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in DEAD_AFTER:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def bounded(connection: socket.socket | asyncio.trsock.TransportSocket) -> None:
    """Limits the kernel's buffers for when one end sends faster than the other reads. Accepted connections inherit it."""
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, KERNEL)


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    made = socket.socket(address[0], address[1], address[2])
    keep_alive(made)
    bounded(made)
    return made
