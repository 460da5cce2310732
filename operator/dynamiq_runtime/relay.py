"""Relays traces to the recorder: `POST /v1/traces` of an SDK elsewhere that has the App's hostname and an Access Key.

The key is checked here. The recorder gets the pod's token and the App's id: these mark the traces as relayed, of no process and no row.
The SDK waits for this answer at the end of a workflow and never retries. It therefore gets one within 15 s of its last byte, at once if
possible. All bodies together are bounded, and a slow body blocks no other caller.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from dynamiq_runtime.bodies import body_too_slow, turn
from dynamiq_runtime.errors import HttpError, too_large

if TYPE_CHECKING:
    import aiohttp

    from dynamiq_runtime.recorder_client import Recorder, Trust

BODY_LIMIT = 8 << 20
HELD_LIMIT = 4 * BODY_LIMIT  # bytes of all bodies that are held here
AT_ONCE = 4  # requests that are relayed at the same time, each with a complete body
TURN_WITHIN = 5.0  # seconds for one of these places
BODY_WITHIN = 20.0
ANSWER_WITHIN = 10.0
RETRY_AFTER = "5"
UNWELCOME = (401, 403)
APP_ID = "X-Dynamiq-App-Id"
PASSED_ON = ("Content-Type", "Retry-After")


class Relay:
    """The relay of one server, for its event loop. Without a recorder it refuses."""

    def __init__(self, recorder: Recorder | None, app_id: str) -> None:
        self._recorder = recorder
        self._app_id = app_id
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._held = 0
        self._session: aiohttp.ClientSession | None = None
        self._trust: Trust | None = None

    async def pass_on(self, request: web.Request) -> web.Response:
        """Returns the recorder's answer, or the reason for none. Neither is a failure or a run of the App."""
        if self._recorder is None:
            return HttpError(501, "no_recorder", "no recorder is installed: runs of this App are not recorded").response()
        body = bytearray()
        try:
            await self._read(request, body)
            async with turn(self._turns, TURN_WITHIN, _busy):
                return await self._forward(request.headers.get("Content-Type", "application/json"), body, self._recorder)
        except HttpError as error:
            return error.response()
        finally:
            self._held -= len(body)

    async def close(self) -> None:
        """Closes its connections."""
        if self._session is not None:
            await self._session.close()

    async def _read(self, request: web.Request, body: bytearray) -> None:
        """Reads the body, decompressed.

        Raises HttpError: 408 for one that is too slow, 413 for one that is too large, 503 if there are too many.
        """
        try:
            async with asyncio.timeout(BODY_WITHIN):
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > BODY_LIMIT:
                        raise too_large(BODY_LIMIT)
                    if self._held > HELD_LIMIT:
                        raise _busy()
        except TimeoutError:
            raise body_too_slow() from None

    async def _forward(self, content_type: str, body: bytearray, recorder: Recorder) -> web.Response:
        import aiohttp

        from dynamiq_runtime.recorder_client import PATH, Trust

        self._trust = self._trust or Trust(recorder)
        self._session = self._session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN))
        try:
            headers = {"Content-Type": content_type, APP_ID: self._app_id, **recorder.headers()}
            tls = self._trust.context()
            url = recorder.url.rstrip("/") + PATH
            async with self._session.post(url, data=body, headers=headers, ssl=tls or True, allow_redirects=False) as answer:
                text = await answer.read()
                if answer.status in UNWELCOME:
                    raise HttpError(503, "recorder_refuses", "the recorder does not take traces of this App", retry_after=RETRY_AFTER)
                passed = {name: value for name in PASSED_ON if (value := answer.headers.get(name)) is not None}
                return web.Response(body=text, status=answer.status, headers=passed)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            raise HttpError(503, "recorder_away", "the recorder does not answer: send it again", retry_after=RETRY_AFTER) from None


def _busy() -> HttpError:
    return HttpError(503, "busy", "too many traces come at once: send them again", retry_after=RETRY_AFTER)
