"""A receiver of notifications that keeps the requests, and answers as a test sets."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support import waiting
from tests.unit.support.answering import Answer, saying, served

SOON = 60.0  # seconds: a machine that does much else takes long, and a test that fails waits once


async def until(what: str, condition: Callable[[], object]) -> None:
    """Returns once the condition holds. Raises AssertionError if it does not hold soon."""
    await asyncio.to_thread(waiting.eventually, what, condition, SOON, 0.01)


@dataclass
class Receiver:
    """A receiver. `got`: body and headers of each request, in order."""

    answer: Answer = field(default_factory=lambda: saying(status=204))
    got: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append((await request.read(), dict(request.headers)))
        return await self.answer()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Returns the received CloudEvents."""
        return [json.loads(body) for body, _ in self.got]


@asynccontextmanager
async def receiving(receiver: Receiver, host: str = "127.0.0.2", trust: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Serves a receiver at a port of its own."""
    async with served(receiver.handle, host, trust) as receiver.port:
        yield receiver
