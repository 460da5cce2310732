"""Writes answers for as long as their reader takes them, so that a call is under way until its last byte is, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from aiohttp import web

TAKEN_WITHIN = 30.0  # seconds in which a reader takes something; whoever takes nothing would hold a run's thread for ever
PIECE = 64 * 1024  # bytes that a connection takes without waiting for its reader


async def write(response: web.StreamResponse, data: bytes | memoryview) -> None:
    """Writes a part of an answer. Raises ConnectionError where the caller has left, or takes nothing any more."""
    await _taken(response.write(data))


async def deliver(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Writes an answer to its end, or what is left of it, and returns what was written once its caller's side has it."""
    body = response.body if isinstance(response, web.Response) else None
    large = memoryview(body) if isinstance(body, bytes) and len(body) > PIECE else memoryview(b"")
    if large:  # in pieces: a slow reader is told from one who takes nothing
        response = web.StreamResponse(status=response.status, headers=response.headers)
        response.content_length = len(large)
    try:
        await response.prepare(request)
        while len(large) > PIECE:
            await write(response, large[:PIECE])
            large = large[PIECE:]
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=0)  # a process that ends takes its buffers with it
        await _taken(response.write_eof(bytes(large)))
        if request.transport is not None:
            request.transport.set_write_buffer_limits()
    except ConnectionError:
        if request.transport is not None:
            request.transport.abort()  # nothing waits until what is in the buffer has been taken
    return response


async def _taken(writing: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(TAKEN_WITHIN):
            await writing
    except TimeoutError:
        raise ConnectionResetError("the caller does not read") from None
