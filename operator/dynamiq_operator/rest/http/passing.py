"""Passes on another server's response as it arrives, without holding it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import aiohttp
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

LOG = logging.getLogger(__name__)


class Passed(StreamingResponse):
    """A response of another server, passed on as it arrives.

    A caller who leaves ends it. If the server breaks off, so does the connection.
    """

    def __init__(
        self, answer: aiohttp.ClientResponse, whose: str, media_type: str | None, headers: Mapping[str, str] | None = None
    ) -> None:
        # As a header: Starlette would add a charset to the media type of a text.
        kind = {"Content-Type": media_type} if media_type is not None and answer.status not in (204, 304) else {}
        length = {"Content-Length": str(answer.content_length)} if answer.content_length is not None else {}
        super().__init__(answer.content.iter_any(), answer.status, {**kind, **length, **(headers or {})})
        self._answer, self._whose = answer, whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (aiohttp.ClientError, TimeoutError) as error:
            # The answer has begun: without its end the server closes the connection.
            LOG.warning("an answer of the %s ended early: %s", self._whose, type(error).__name__)
        finally:
            self._answer.close()
