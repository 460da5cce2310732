"""Reads and unpacks bodies under limits of announced size, received size, speed and decompressed size. It parses none."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import Receive

from dynamiq_recorder.http.errors import CLOSES, HttpProblem

BODY_MAX = 8 * 1024 * 1024
"""Most bytes of a body, decompressed."""
LARGE = 1024 * 1024
RATE, WITHIN = 64 * 1024, 10.0
"""Fewest bytes a second of a body, over any `WITHIN` seconds."""


def announced(headers: Headers) -> int | None:
    """Returns the bytes that a request announces, 0 without a body; None if the number is unknown or invalid."""
    if "transfer-encoding" in headers:
        return None
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 16 else None


async def read(headers: Headers, receive: Receive, most: int = BODY_MAX, came: Callable[[int], None] = lambda _: None) -> bytes:
    """Reads a body as it arrives. `came`: called with the number of bytes of each part.

    Raises HttpProblem 400, 408, 413, and the errors of `came`.
    """
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
        raise HttpProblem(408, f"the body arrived too slowly: send at least {RATE} bytes a second", headers=CLOSES) from None


def unpacked_if_small(headers: Headers, body: bytes) -> bytes | None:
    """Decompresses a body; returns None if it has more than `LARGE` bytes.

    Raises HttpProblem 400, 415.
    """
    # Parsed data takes ten times the memory of its text, so few large bodies are parsed at a time.
    return _unpacked(headers, body, LARGE)


def unpacked(headers: Headers, body: bytes, most: int = BODY_MAX) -> bytes:
    """Decompresses a body, never to more than `most` bytes.

    Raises HttpProblem 400, 413, 415.
    """
    data = _unpacked(headers, body, most)
    if data is None:
        raise too_large(most)
    return data


def _unpacked(headers: Headers, body: bytes, most: int) -> bytes | None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body if len(body) <= most else None
    if encoding not in ("gzip", "deflate"):
        raise HttpProblem(415, f"Content-Encoding must be gzip or absent, got {encoding[:32]}")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        data = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise HttpProblem(400, f"the body is not {encoding}: {error}") from None
    if len(data) > most:
        return None
    if not unpacker.eof:
        raise HttpProblem(400, f"the body ends before its {encoding} does")
    return data


def too_large(most: int) -> HttpProblem:
    return HttpProblem(413, f"a body is at most {most} bytes, decompressed: send fewer runs at once", headers=CLOSES)
