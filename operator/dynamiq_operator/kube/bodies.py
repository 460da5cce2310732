"""Reads the body of an answer up to a limit."""

from __future__ import annotations

import aiohttp


async def body_of(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Returns the body of an answer. Raises ValueError if it has more than `most` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(min(most, 1 << 16)):
        body += chunk
        if len(body) > most:
            raise ValueError("the answer is too long")
    return bytes(body)
