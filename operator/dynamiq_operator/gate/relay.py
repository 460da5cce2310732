"""Runs that programs outside send to a sleeping App's hostname, handed to the recorder without waking the App.

The caller has shown an Access Key of the App, which names no App to the recorder: the gate says whose runs they are, in its own name. Of the
caller's headers the recorder sees what the body is, and nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from dynamiq_operator.gate import answers
from dynamiq_operator.gate.forwarding import Body
from dynamiq_operator.kube.trust import trust_of
from dynamiq_operator.model.runs import APP_ID_HEADER

PATH = "/v1/traces"
BODY_MAX = 8 << 20
"""Bytes, as the recorder takes them."""
ANSWER_MAX = 1 << 20
WITHIN = 60.0
"""Seconds for one call, from its first byte to the answer's last."""
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
    """Connections to the recorder. Use it as an async context manager. `recorder`: None where there is none."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder

    async def __aenter__(self) -> Relay:
        told = self._recorder
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust_of(told.url, told.ca) if told is not None else True),
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

    async def relay(self, request: web.BaseRequest, app_id: str) -> web.Response:
        """What the recorder answers. Raises answers.Refusal where there is none, where it is away, and for a body that is too large."""
        if self._recorder is None:
            raise answers.no_recorder()
        if (request.content_length or 0) > BODY_MAX:
            raise answers.too_large(BODY_MAX)
        headers = {name: request.headers[name] for name in ABOUT_THE_BODY if name in request.headers}
        headers |= {APP_ID_HEADER: app_id, "Authorization": f"Bearer {_token(self._recorder)}"}
        body = Body(request, BODY_MAX)
        try:
            async with self._session.post(
                URL(self._recorder.url + PATH), headers=headers, data=body.chunks(), allow_redirects=False
            ) as response:
                return await _answered(response)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is one
            raise (answers.too_large(BODY_MAX) if body.is_too_large else answers.recorder_away()) from error


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
