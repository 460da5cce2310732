"""Reads and unpacks bodies under limits of announced size, received size, speed and decompressed size. It parses none."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import Receive

from dynamiq_operator.serving import bodies
from dynamiq_operator.serving.limits import RUNS_MAX, RUNS_RATE
from dynamiq_operator.serving.problems import CLOSES, HttpProblem

LARGE = 1024 * 1024
"""Bytes of a large body. Parsed data takes ten times the memory of its text, so few large bodies are parsed at a time."""
WITHIN = 10.0
"""Seconds over any of which a body comes at `RUNS_RATE`."""
TOO_LARGE = "a body is at most {} bytes, decompressed: send fewer runs at once"


async def read(headers: Headers, receive: Receive, most: int = RUNS_MAX, came: Callable[[int], None] = lambda _: None) -> bytes:
    """Reads a body as it arrives. `came`: called with the number of bytes of each part.

    Raises HttpProblem 400, 408, 413, and the errors of `came`.
    """
    pace, too_slow = bodies.BodyPace(WITHIN, RUNS_RATE * WITHIN), f"the body arrived too slowly: send at least {RUNS_RATE} bytes a second"
    return await bodies.read(headers, receive, most, pace, TOO_LARGE.format(most), too_slow, came)


def unpacked(headers: Headers, body: bytes, most: int) -> bytes | None:
    """Decompresses a body; returns None if it has more than `most` bytes, of which it makes no more.

    Raises HttpProblem 400, 415.
    """
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
    return HttpProblem(413, TOO_LARGE.format(most), headers=CLOSES)
