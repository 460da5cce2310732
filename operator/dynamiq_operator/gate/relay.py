"""Relays runs that outside programs send to a sleeping App's hostname to the recorder, without waking the App.

A body is read completely before the recorder is called, within the App's share and at a minimal rate. A slow sender thus occupies nothing
of the recorder.

The caller's Access Key does not identify the App to the recorder: the gate names the App, with its own token. The recorder
only gets those headers of the caller that describe the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web
from yarl import URL

from dynamiq_operator.gate import answers
from dynamiq_operator.gate.forwarding import Body
from dynamiq_operator.gate.slices import Sleeper
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.trust import trust_of
from dynamiq_operator.model.runs import APP_ID_HEADER
from dynamiq_operator.serving.limits import RUNS_MAX, RUNS_RATE
from dynamiq_operator.serving.shares import Shares

PATH = "/v1/traces"
ANSWER_MAX = 1 << 20
AT_ONCE = 100
"""Calls that carry runs, of all Apps at a time: each has a connection to the recorder."""
BEGINS_WITHIN = 5.0
"""Seconds after which a body must arrive at its rate."""
PART = 64 << 10
"""Bytes of a body that are sent at a time."""
WITHIN = 60.0
"""Seconds for the recorder's part of a call, up to the last byte of the response."""
CONNECT_WITHIN = 3.0
ANSWER_WITHIN = 10.0
"""Seconds that the recorder may be silent once it has the whole body: the SDK waits for this at the end of a workflow."""
ABOUT_THE_BODY = ("Content-Type", "Content-Encoding")
OF_THE_ANSWER = ("Content-Type", "Retry-After")


class Relay:
    """Connections to the recorder; an async context manager.

    `recorder`: None if there is none. `room`: bytes of all bodies.
    """

    def __init__(self, recorder: RecorderAccess | None, room: int) -> None:
        self._recorder = recorder
        self._room, self._slots = Shares(room), Shares(AT_ONCE)

    async def __aenter__(self) -> Relay:
        recorder = self._recorder
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=AT_ONCE, ssl=trust_of(recorder.url, recorder.ca) if recorder is not None else True),
            timeout=aiohttp.ClientTimeout(total=WITHIN, sock_connect=CONNECT_WITHIN, sock_read=ANSWER_WITHIN),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding", "Content-Type"),
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @staticmethod
    def takes(request: web.BaseRequest) -> bool:
        """Returns True if a call carries runs."""
        return request.method == "POST" and request.path == PATH

    async def relay(self, request: web.BaseRequest, app: Sleeper) -> web.Response:
        """Returns the recorder's response.

        Raises answers.CallRefusal if there is no recorder or it is down. Also for a body that is too large, too slow, or beyond the App's share.
        """
        if self._recorder is None:
            raise answers.no_recorder()
        if (request.content_length or 0) > RUNS_MAX:
            raise answers.too_large(RUNS_MAX)
        path = (app.namespace, app.app)
        with self._slots.lease(*path) as enter, self._room.lease(*path) as take:
            if not enter(1):
                raise answers.too_many_runs()
            return await self._send(self._recorder, request, app, await _read_body(request, take))

    async def _send(self, recorder: RecorderAccess, request: web.BaseRequest, app: Sleeper, body: bytearray) -> web.Response:
        headers = {name: request.headers[name] for name in ABOUT_THE_BODY if name in request.headers}
        headers |= {APP_ID_HEADER: app.note.app_id, "Authorization": f"Bearer {_token(recorder)}", "Content-Length": str(len(body))}
        try:
            async with self._session.post(URL(recorder.url + PATH), headers=headers, data=_parts(body), allow_redirects=False) as response:
                return await _response_of(response)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is one
            raise answers.recorder_away() from error


async def _read_body(request: web.BaseRequest, take: Callable[[int], bool]) -> bytearray:
    """Returns the whole body. Raises answers.CallRefusal, also if `take` returns False for a part."""
    body, coming = bytearray(), Body(request, RUNS_MAX)
    parts = coming.chunks()
    due = asyncio.get_running_loop().time() + BEGINS_WITHIN
    try:
        while True:
            async with asyncio.timeout_at(due + len(body) / RUNS_RATE):
                part = await anext(parts, b"")
            if not part:
                return body
            if not take(len(part)):
                raise answers.too_many_runs()
            body += part
    except TimeoutError:
        raise answers.too_slow() from None
    except aiohttp.ClientPayloadError:
        if coming.is_too_large:
            raise answers.too_large(RUNS_MAX) from None
        raise
    finally:
        await parts.aclose()


async def _parts(body: bytearray) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PART):
        yield bytes(body[start : start + PART])


def _token(recorder: RecorderAccess) -> str:
    try:
        return recorder.token_file.read_text().strip()
    except (OSError, ValueError):
        raise answers.recorder_away() from None


async def _response_of(response: aiohttp.ClientResponse) -> web.Response:
    # A 401 is about the gate's token, so it is no error of the caller's key.
    if response.status == 401 or response.status >= 500 or 300 <= response.status < 400:
        raise answers.recorder_away()
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_MAX:
            raise answers.recorder_away()
    answer = web.Response(status=response.status, body=body)
    for name in OF_THE_ANSWER:
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer
