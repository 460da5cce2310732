"""Writes answers at the pace of their reader, so that a call is under way exactly until its last byte is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from aiohttp import web

TAKEN_WITHIN = 30.0  # seconds in which a reader must take something; otherwise it would hold a run's thread for ever
PIECE = 64 * 1024  # bytes that a connection takes without waiting for its reader


async def write(response: web.StreamResponse, data: bytes | memoryview) -> None:
    """Writes a part of an answer. Raises ConnectionError if the caller has left or takes nothing any more."""
    await _taken(response.write(data))


async def deliver(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Writes an answer, or the rest of it, to its end. Returns the response once the caller's side has it."""
    body = response.body if isinstance(response, web.Response) else None
    large = memoryview(body) if isinstance(body, bytes) and len(body) > PIECE else memoryview(b"")
    if large:  # in pieces, to tell a slow reader from one that takes nothing
        response = web.StreamResponse(status=response.status, headers=response.headers)
        response.content_length = len(large)
    try:
        await response.prepare(request)
        while len(large) > PIECE:
            await write(response, large[:PIECE])
            large = large[PIECE:]
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=0)  # a process that ends loses its buffers
        await _taken(response.write_eof(bytes(large)))
        if request.transport is not None:
            request.transport.set_write_buffer_limits()
    except ConnectionError:
        if request.transport is not None:
            request.transport.abort()  # the buffer is dropped instead of waiting for its reader
    return response


async def _taken(writing: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(TAKEN_WITHIN):
            await writing
    except TimeoutError:
        raise ConnectionResetError("the caller does not read") from None
