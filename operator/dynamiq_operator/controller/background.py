"""Runs requests in the background, for readers that are context managers. Nothing waits for them; they are cancelled at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import aiohttp

from dynamiq_operator.controller.slots import Slots


class Background:
    """A reader that makes requests in the background. `at_once`: requests at a time. `of_namespace`: those for the Apps of one namespace."""

    def __init__(self, at_once: int, of_namespace: int) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._slots = Slots(at_once, of_namespace)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def body_of(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Returns the body of an answer.

    Raises ValueError if it has more than `most` bytes, or the status is not 200.
    """
    if response.status != 200:
        raise ValueError(f"status {response.status}")
    body = b""
    async for chunk in response.content.iter_chunked(most):
        body += chunk
        if len(body) > most:
            raise ValueError("the answer is too long")
    return body
