"""A caller's connection: what the head of its call may cost before anybody knows whose it is, and whether the caller is still there.

The server limits each header and how many there are, which together is a megabyte of memory for a connection that has said nothing yet.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from dynamiq_operator.gate import answers

HEAD_MAX = 64 * 1024
"""Bytes that are read of a head which has no end yet; gateways take 60 KiB."""
BUFFER = 32 * 1024
"""Bytes of a body that are read ahead while its call waits."""
LOOKED_EVERY = 1.0
"""Seconds between two looks whether a caller is still there."""
_ESTABLISHED = 1
_END = b"\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Caller(web.RequestHandler):
    """One connection. What comes after the head of its first call is not looked at here."""

    __slots__ = ("_has_head", "_read", "_tail")

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._has_head, self._read, self._tail = False, 0, b""

    def data_received(self, data: bytes) -> None:
        """Reads on, or answers 431 and ends the connection."""
        if not self._has_head:
            seen = self._tail + data
            self._has_head = _END in seen
            self._read, self._tail = self._read + len(data), seen[1 - len(_END) :]
            if not self._has_head and self._read > HEAD_MAX:
                if self.transport is not None:
                    self.transport.write(_TOO_LARGE)
                self.force_close()
                return
        super().data_received(data)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is no HTTP is the sender's mistake, of which our log says nothing: it would have a traceback for each."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = answers.no_http(status).response()
        response.force_close()
        return response


@asynccontextmanager
async def while_there(request: web.BaseRequest) -> AsyncIterator[None]:
    """Ends the call when its caller has left. The server sees that by itself, but where it has stopped reading a body that nobody takes yet."""
    if not request.body_exists or (request.content_length or BUFFER + 1) <= BUFFER:
        yield
        return
    call = asyncio.current_task()

    async def look() -> None:
        while not _has_left(request):  # noqa: ASYNC110 - only the kernel knows
            await asyncio.sleep(LOOKED_EVERY)
        if call is not None:
            call.cancel()

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


def _has_left(request: web.BaseRequest) -> bool:
    """Whether the caller's end of the connection is closed, by what the kernel says of it."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    if connection is None:
        return True
    try:
        return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED)
    except OSError:
        return True
