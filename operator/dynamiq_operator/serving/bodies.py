"""Reads the body of a request within limits of size and time. It parses none."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Receive

from dynamiq_operator.serving.problems import CLOSES, HttpProblem

LENGTH_DIGITS = 19
"""Digits of a Content-Length after leading zeros, of which HTTP allows any number."""


def announced(headers: Headers) -> int | None:
    """Returns the bytes of the body that a request announces; None if it announces no length."""
    if "transfer-encoding" in headers:
        return None
    length = headers.get("content-length", "0")
    return int(length[-LENGTH_DIGITS:]) if length.isdecimal() and not length[:-LENGTH_DIGITS].strip("0") else None


class BodyPace(NamedTuple):
    """The slowest that a body may come: `size` bytes in any `seconds`, and all of it in `whole` seconds."""

    seconds: float
    size: float
    whole: float = math.inf


async def read(
    headers: Headers,
    receive: Receive,
    most: int,
    pace: BodyPace,
    too_large: str,
    too_slow: str,
    came: Callable[[int], None] = lambda _: None,
) -> bytes:
    """Reads a body of at most `most` bytes. `came` is called with the bytes of each part; `too_large`, `too_slow` are messages.

    Raises HttpProblem 400, 408, 413, and the errors of `came`.
    """
    body, due, loop = bytearray(), 0.0, asyncio.get_running_loop()  # one piece, however many parts it comes in
    until, exceeds = loop.time() + pace.whole, HttpProblem(413, too_large, headers=CLOSES)
    if (announced(headers) or 0) > most:
        raise exceeds
    try:
        async with asyncio.timeout(None) as timer:
            while True:
                if len(body) >= due:
                    due = len(body) + pace.size
                    timer.reschedule(min(loop.time() + pace.seconds, until))
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise HttpProblem(400, "the body ended early", headers=CLOSES)
                part = message.get("body", b"")
                if len(body) + len(part) > most:
                    raise exceeds
                came(len(part))
                body += part
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise HttpProblem(408, too_slow, headers=CLOSES) from None
