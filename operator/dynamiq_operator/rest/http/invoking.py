"""Passes a call on to an App's Service in the cluster, and the App's response back.

Both bodies are passed on as they arrive. Only named headers are: never the caller's token, and none of a single connection. A call is sent
once, since one that may have reached the App may have run.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp
import anyio
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope
from yarl import URL

from dynamiq_operator.rest.http.body import BODY_WITHIN, SILENT_MOST
from dynamiq_operator.rest.http.errors import HttpProblem, unavailable
from dynamiq_operator.rest.http.passing import Passed
from dynamiq_operator.serving import request_log
from dynamiq_operator.serving.bodies import announced
from dynamiq_operator.serving.problems import CLOSES

LOG = logging.getLogger(__name__)
BODY_MOST = 8 * 1024 * 1024
"""Bytes of a call's body."""
CALLS, CALLS_EACH = 256, 16
"""Calls that are passed on at once: in all, and of one caller. They use none of the slots of other requests."""
READS = 16
"""Threads that read where an App is called, and by which key."""
CONNECT_WITHIN = 3.0
BUFFER = 16 * 1024
"""Bytes of a response that are read ahead, twice."""
SENT = (
    *("Content-Type", "Content-Encoding", "Content-Length", "Accept", "Idempotency-Key", "Last-Event-ID", "traceparent", "tracestate"),
    *("X-Dynamiq-Session-Id", "X-Dynamiq-User-Id", "X-Dynamiq-Tags"),
)
RETURNED = ("Retry-After", "X-Dynamiq-Run-Id", "X-Dynamiq-Workflow-Version", "X-Dynamiq-Workflow-Hash", "X-Accel-Buffering")
UNTRUSTED = {"Content-Security-Policy": "sandbox; default-src 'none'"}
"""Header of an App's response: it comes from the origin of the console, and nothing in it may run there."""
_PATH = re.compile(r"/v1/apps/[^/]+/invoke(?:/.*)?", re.DOTALL)
_TARGET = re.compile(r"[\x21-\x7e]*")


def is_invocation(scope: Scope) -> bool:
    """Returns True if a request is a call of an App. Its body is the App's and is not parsed here."""
    return _PATH.fullmatch(scope["path"]) is not None


@dataclass(frozen=True)
class Target:
    """The place of an App for one call. `host`: the name of its Service. `key`: one of its Access Keys; None if it is public.

    `within`: seconds for the whole call.
    """

    address: str
    port: int
    host: str
    key: str | None
    within: float


class Invoker:
    """The client of Apps. For one event loop."""

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None
        self.threads = anyio.CapacityLimiter(READS)

    async def invoke(self, request: Request, target: Target) -> Response:
        """Returns the App's response. Raises HttpProblem: 400, 408 and 413 for the body, 502, 503 and 504 without a response."""
        client = self._client = self._client or _open_client()
        url, body = _url(request.scope, target), _Body(request.headers, request.receive)
        headers = _sent(request.headers, target)
        timeout = aiohttp.ClientTimeout(total=target.within, sock_connect=CONNECT_WITHIN)

        async def send() -> aiohttp.ClientResponse:
            data = None if body.is_empty else body.parts()
            return await client.request(request.method, url, headers=headers, data=data, timeout=timeout, allow_redirects=False)

        try:
            answer = await _unless_left(send, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            LOG.warning("an App cannot be reached: %s", type(error).__name__)
            raise unavailable(f"{target.host} does not accept a connection: see the App's status, and who may call its pods") from None
        except TimeoutError:
            raise body.problem or HttpProblem(504, f"no answer within {target.within:g} s; the run may have ended") from None
        except (aiohttp.ClientError, OSError) as error:
            raise body.problem or HttpProblem(502, f"the App broke off ({type(error).__name__}); it may have run") from None
        # Others cannot be written as a header: the image of an App may send any bytes.
        named = {name: value for name in (*RETURNED, "Content-Type") if (value := answer.headers.get(name)) is not None and value.isascii()}
        kind = named.pop("Content-Type", None)
        return Passed(answer, "App", kind, {**named, **UNTRUSTED})

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class _Body:
    """The body of a call, as it arrives. `problem`: why it was not read to its end."""

    def __init__(self, headers: Headers, receive: Receive) -> None:
        length = announced(headers)
        if (length or 0) > BODY_MOST:
            raise _too_large()
        self.is_empty = self.is_whole = length == 0
        self.problem: HttpProblem | None = None
        self._receive = receive
        self._ended = anyio.Event()
        if self.is_empty:
            self._ended.set()

    async def parts(self) -> AsyncGenerator[bytes]:
        """Yields the parts. Ends by an error of the client if there is a `problem`."""
        loop, count = asyncio.get_running_loop(), 0
        until = loop.time() + BODY_WITHIN
        while not self.is_whole:
            try:
                async with asyncio.timeout_at(min(loop.time() + SILENT_MOST, until)):
                    message = await self._receive()
            except TimeoutError:
                raise self._failed(HttpProblem(408, "the body arrived too slowly: send it at once", headers=CLOSES)) from None
            if message["type"] == "http.disconnect":
                raise self._failed(HttpProblem(400, "the body ended early", headers=CLOSES))
            part = message.get("body", b"")
            if (count := count + len(part)) > BODY_MOST:
                raise self._failed(_too_large())
            self.is_whole = not message.get("more_body")
            if part:
                yield part
        self._ended.set()

    async def left(self) -> None:
        """Waits until the caller disconnects, which can be seen once the body is whole."""
        await self._ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _failed(self, problem: HttpProblem) -> aiohttp.ClientPayloadError:
        self.problem = problem
        return aiohttp.ClientPayloadError(str(problem))


async def _unless_left(send: Callable[[], Awaitable[aiohttp.ClientResponse]], body: _Body) -> aiohttp.ClientResponse:
    """Returns the response, or ends the call when its caller disconnects: the App then gives up the run."""
    sending, leaving = asyncio.ensure_future(send()), asyncio.ensure_future(body.left())
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            raise HttpProblem(400, "the caller left")
        return sending.result()
    finally:
        for task in (sending, leaving):
            task.cancel()


def _too_large() -> HttpProblem:
    return HttpProblem(413, f"a call's body is at most {BODY_MOST} bytes", headers=CLOSES)


def _url(scope: Scope, target: Target) -> URL:
    """Returns the App's URL of what follows `/invoke`, with the path and the query as they were encoded. Raises HttpProblem 404."""
    segments = scope["raw_path"].decode("latin-1").split("/", 5)
    path, query = "".join(segments[5:]), scope["query_string"].decode("latin-1")
    if len(segments) < 5 or segments[4] != "invoke" or not _TARGET.fullmatch(path + query):
        raise HttpProblem(404, "this path does not exist: write /v1/apps/{app_id}/invoke, and encode what follows")
    host = f"[{target.address}]" if ":" in target.address else target.address
    return URL(f"http://{host}:{target.port}/{path}" + (f"?{query}" if query else ""), encoded=True)


def _sent(headers: Headers, target: Target) -> Mapping[str, str]:
    passed = {name: ", ".join(headers.getlist(name)) for name in SENT if name in headers}
    if "Transfer-Encoding" in headers:
        passed.pop("Content-Length", None)
    login = {"Authorization": f"Bearer {target.key}"} if target.key is not None else {}
    return {**passed, **login, "Host": target.host, "Accept-Encoding": "identity", request_log.HEADER: request_log.current()}


def _open_client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CALLS, force_close=True),  # a reused connection would have the client repeat some calls
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        auto_decompress=False,
        read_bufsize=BUFFER,
    )
