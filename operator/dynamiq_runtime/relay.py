"""Passes traces on to the recorder: `POST /v1/traces` of an SDK that runs elsewhere, which knows the App's hostname and an Access Key.

Its key was checked, and the recorder sees the pod's token instead, with the App's id: by that it knows that these are not the pod's own
words, and belong to no process and no row. The SDK waits for this answer at the end of a workflow and never asks
again: it is answered at once where it can be, and after 15 s in any case.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from dynamiq_runtime.errors import HttpError

if TYPE_CHECKING:
    import aiohttp

    from dynamiq_runtime.recorder_client import Recorder

BODY_LIMIT = 8 << 20
AT_ONCE = 4  # requests that are passed on at the same time: each may hold a body of BODY_LIMIT
TURN_WITHIN = 5.0  # seconds for one of these places
BODY_WITHIN = 60.0
ANSWER_WITHIN = 10.0
RETRY_AFTER = "5"
UNWELCOME = (401, 403)
APP_ID = "X-Dynamiq-App-Id"
PASSED_ON = ("Content-Type", "Retry-After")


class Relay:
    """For one server, and its event loop; without a recorder it says so."""

    def __init__(self, recorder: Recorder | None, app_id: str) -> None:
        self._recorder = recorder
        self._app_id = app_id
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def pass_on(self, request: web.Request) -> web.Response:
        """The recorder's answer, or why there is none: no failure of the App, and no run of it."""
        if self._recorder is None:
            return HttpError(501, "no_recorder", "no recorder is installed: runs of this App are not recorded").response()
        try:
            async with asyncio.timeout(TURN_WITHIN):
                await self._turns.acquire()
        except TimeoutError:
            return HttpError(503, "busy", "too many traces come at once: send them again", retry_after=RETRY_AFTER).response()
        try:
            return await self._forward(request, self._recorder)
        except HttpError as error:
            return error.response()
        finally:
            self._turns.release()

    async def close(self) -> None:
        """Ends its connections."""
        if self._session is not None:
            await self._session.close()

    async def _forward(self, request: web.Request, recorder: Recorder) -> web.Response:
        import aiohttp

        from dynamiq_runtime.recorder_client import PATH

        body = await _body(request)
        self._session = self._session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN))
        try:
            headers = {"Content-Type": request.headers.get("Content-Type", "application/json"), APP_ID: self._app_id, **recorder.headers()}
            tls = recorder.tls()
            url = recorder.url.rstrip("/") + PATH
            async with self._session.post(url, data=body, headers=headers, ssl=tls or True, allow_redirects=False) as answer:
                text = await answer.read()
                if answer.status in UNWELCOME:
                    raise HttpError(503, "recorder_refuses", "the recorder does not take traces of this App", retry_after=RETRY_AFTER)
                passed = {name: value for name in PASSED_ON if (value := answer.headers.get(name)) is not None}
                return web.Response(body=text, status=answer.status, headers=passed)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            raise HttpError(503, "recorder_away", "the recorder does not answer: send it again", retry_after=RETRY_AFTER) from None


async def _body(request: web.Request) -> bytes:
    """The body, decompressed. Raises HttpError: 408 for one that does not come, 413 for one that is too large."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise HttpError(413, "body_too_large", f"the body is larger than {BODY_LIMIT} bytes", {"limit": BODY_LIMIT})
    except TimeoutError:
        raise HttpError(408, "body_too_slow", "the body came too slowly: send it at once") from None
    return bytes(body)
