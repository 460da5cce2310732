"""Bodies, read and unpacked under limits: what is announced, what comes, how slowly it comes, and what a few compressed bytes become."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import Receive

from dynamiq_recorder.http.errors import CLOSES, HttpProblem

BODY_MAX = 8 * 1024 * 1024
"""Bytes, decompressed."""
LARGE = 1024 * 1024
RATE, WITHIN = 64 * 1024, 10.0
"""Bytes a second that a body comes at least, over any so many seconds."""


def announced(headers: Headers) -> int | None:
    """Bytes that a request says it has; None where it does not say how many come."""
    if "transfer-encoding" in headers:
        return None
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 16 else None


async def read(headers: Headers, receive: Receive, most: int = BODY_MAX, came: Callable[[int], None] = lambda _: None) -> bytes:
    """The bytes as they come. `came`: hears how many, of each part. Raises HttpProblem 400, 408, 413, and what `came` raises."""
    if (announced(headers) or 0) > most:
        raise too_large(most)
    body, due, loop = bytearray(), RATE * WITHIN, asyncio.get_running_loop()
    try:
        async with asyncio.timeout(WITHIN) as patience:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise HttpProblem(400, "the body ended early", headers=CLOSES)
                part = message.get("body", b"")
                if len(body) + len(part) > most:
                    raise too_large(most)
                came(len(part))
                body += part
                if len(body) >= due:
                    due = len(body) + RATE * WITHIN
                    patience.reschedule(loop.time() + WITHIN)
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise HttpProblem(408, f"the body came too slowly: send at least {RATE} bytes a second", headers=CLOSES) from None


def unpacked_if_small(headers: Headers, body: bytes) -> bytes | None:
    """The body without its compression; None where it has more than `LARGE` bytes: what is parsed takes ten times the memory of its text.

    Raises HttpProblem 400, 415.
    """
    return _unpacked(headers, body, LARGE)


def unpacked(headers: Headers, body: bytes, most: int = BODY_MAX) -> bytes:
    """The body without its compression, never more than `most` bytes of it. Raises HttpProblem 400, 413, 415."""
    found = _unpacked(headers, body, most)
    if found is None:
        raise too_large(most)
    return found


def _unpacked(headers: Headers, body: bytes, most: int) -> bytes | None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body if len(body) <= most else None
    if encoding not in ("gzip", "deflate"):
        raise HttpProblem(415, f"Content-Encoding is {encoding[:32]}, and has to be gzip or none")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise HttpProblem(400, f"the body is not {encoding}: {error}") from None
    if len(found) > most:
        return None
    if not unpacker.eof:
        raise HttpProblem(400, f"the body ends before its {encoding} does")
    return found


def too_large(most: int) -> HttpProblem:
    return HttpProblem(413, f"a body is at most {most} bytes, decompressed: send fewer runs at once", headers=CLOSES)
