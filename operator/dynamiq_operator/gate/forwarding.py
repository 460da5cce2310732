"""Hands one call to one pod, byte by byte in both directions, and what the pod answers to the caller.

Nothing is kept, decoded or sent twice: a call that may have reached a pod is never tried again, since nobody knows what came of it. The
connection to the pod ends with the call. There is no limit of time: runs take minutes, and streams are silent meanwhile.
"""

from __future__ import annotations

import asyncio
import asyncio.trsock
import socket
import struct
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from dynamiq_operator.gate import answers
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
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER by which a connection is not closed but reset."""
LINE_MAX = 64 * 1024
"""Bytes of a header that a pod may answer with."""


class NotSent(Exception):  # noqa: N818 - the caller of `forward` decides what comes of it
    """The pod could not be reached, and has seen nothing of the call."""


class Forwarder:
    """Connections to pods. Use it as an async context manager. `body_limit`: bytes of a call's body; `taken_within`: seconds for a part of an answer."""

    def __init__(self, body_limit: int, taken_within: float) -> None:
        self._body_limit, self._taken_within = body_limit, taken_within

    async def __aenter__(self) -> Forwarder:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_socket),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=ADDED_BY_CLIENT,
            middlewares=(_once,),
            auto_decompress=False,
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

    async def forward(self, request: web.BaseRequest, pod: Pod) -> web.StreamResponse:
        """Raises NotSent where the pod could not be reached, answers.Refusal where it did not answer."""
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

    async def chunks(self) -> AsyncIterator[bytes]:
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
        _reset(request)  # what has begun can't be answered otherwise, and must not look whole
    return answer


def _reset(request: web.BaseRequest) -> None:
    """Ends the caller's connection so that it is an error at the other end, also where an answer ends with its connection."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        request.transport.abort()


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


def _socket(found: aiohttp.AddrInfoType) -> socket.socket:
    made = socket.socket(found[0], found[1], found[2])
    keep_alive(made)
    return made
