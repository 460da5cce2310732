"""Runs that programs outside send to a sleeping App's hostname, handed to the recorder without waking the App.

A body is read before the recorder is told of it, in a share of the App and at a rate: who sends slowly holds nothing of the recorder's.

The caller has shown an Access Key of the App, which names no App to the recorder: the gate says whose runs they are, in its own name. Of the
caller's headers the recorder sees what the body is, and nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from dynamiq_operator.gate import answers
from dynamiq_operator.gate.forwarding import Body
from dynamiq_operator.gate.shares import Shares
from dynamiq_operator.gate.slices import Sleeper
from dynamiq_operator.kube.trust import trust_of
from dynamiq_operator.model.runs import APP_ID_HEADER

PATH = "/v1/traces"
BODY_MAX = 8 << 20
"""Bytes, as the recorder takes them."""
ANSWER_MAX = 1 << 20
AT_ONCE = 100
"""Calls of all Apps that bring runs at a time: as many connections to the recorder."""
RATE, BEGINS_WITHIN = 64 << 10, 5.0
"""Bytes a second that a body has to come at, once this many seconds are over."""
PART = 64 << 10
"""Bytes of it that are sent on at a time."""
WITHIN = 60.0
"""Seconds for the recorder's part of one call, to the answer's last byte."""
CONNECT_WITHIN = 3.0
ANSWER_WITHIN = 10.0
"""Seconds that the recorder may be silent once it has the whole body: the SDK waits for this at the end of a workflow."""
ABOUT_THE_BODY = ("Content-Type", "Content-Encoding")
OF_THE_ANSWER = ("Content-Type", "Retry-After")


@dataclass(frozen=True)
class Recorder:
    """Where runs are sent. `token_file`: has the gate's token for the recorder, which changes: it is read for each call.

    `ca`: certificates by which an https one is trusted, None for those of the system.
    """

    url: str
    token_file: Path
    ca: Path | None = None


class Relay:
    """Connections to the recorder. Use it as an async context manager. `recorder`: None where there is none. `room`: bytes of all bodies."""

    def __init__(self, recorder: Recorder | None, room: int) -> None:
        self._recorder = recorder
        self._room, self._slots = Shares(room), Shares(AT_ONCE)

    async def __aenter__(self) -> Relay:
        told = self._recorder
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=AT_ONCE, ssl=trust_of(told.url, told.ca) if told is not None else True),
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
        """Whether a call is one that brings runs."""
        return request.method == "POST" and request.path == PATH

    async def relay(self, request: web.BaseRequest, app: Sleeper) -> web.Response:
        """Returns what the recorder answers.

        Raises answers.Refusal where there is none, where it is away, and for a body that is too large, too slow, or more than the App's share.
        """
        if self._recorder is None:
            raise answers.no_recorder()
        if (request.content_length or 0) > BODY_MAX:
            raise answers.too_large(BODY_MAX)
        path = (app.namespace, app.app)
        with self._slots.lease(*path) as enter, self._room.lease(*path) as take:
            if not enter(1):
                raise answers.too_many_runs()
            return await self._send(self._recorder, request, app, await _read(request, take))

    async def _send(self, recorder: Recorder, request: web.BaseRequest, app: Sleeper, body: bytearray) -> web.Response:
        headers = {name: request.headers[name] for name in ABOUT_THE_BODY if name in request.headers}
        headers |= {APP_ID_HEADER: app.note.app_id, "Authorization": f"Bearer {_token(recorder)}", "Content-Length": str(len(body))}
        try:
            async with self._session.post(URL(recorder.url + PATH), headers=headers, data=_parts(body), allow_redirects=False) as response:
                return await _answered(response)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is one
            raise answers.recorder_away() from error


async def _read(request: web.BaseRequest, take: Callable[[int], bool]) -> bytearray:
    """Returns the whole body. Raises answers.Refusal, also where `take` says that there is no room for a part of it."""
    body, coming = bytearray(), Body(request, BODY_MAX)
    parts = coming.chunks()
    due = asyncio.get_running_loop().time() + BEGINS_WITHIN
    try:
        while True:
            async with asyncio.timeout_at(due + len(body) / RATE):
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
            raise answers.too_large(BODY_MAX) from None
        raise
    finally:
        await parts.aclose()


async def _parts(body: bytearray) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PART):
        yield bytes(body[start : start + PART])


def _token(recorder: Recorder) -> str:
    try:
        return recorder.token_file.read_text().strip()
    except (OSError, ValueError):
        raise answers.recorder_away() from None


async def _answered(response: aiohttp.ClientResponse) -> web.Response:
    """The recorder's answer, for the caller. That it does not know the gate is no fault of the caller's key."""
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
    answer.force_close()
    return answer
