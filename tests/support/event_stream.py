"""Reads a stream of server-sent events, as a browser does: of the staged API, and of a separate program."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import requests

from tests.support.rest_stage import TOKEN, RestStage, http_scope
from tests.support.waiting import IN_TIME

Event = tuple[str, Any]


class Reading:
    """One stream: its status and headers once it has begun, and its events in order. A comment is an event without a name."""

    def __init__(self, app: Any, scope: dict[str, Any]) -> None:
        self.status, self.headers = 0, dict[str, str]()
        self._text, self._events = "", asyncio.Queue[Event | None]()
        self._began, self._left = asyncio.Event(), asyncio.Event()
        self._is_asked = False
        self._task = asyncio.ensure_future(app(scope, self._receive, self._send))
        self._task.add_done_callback(lambda _: self._events.put_nowait(None))

    async def begin(self) -> None:
        async with asyncio.timeout(IN_TIME):
            await self._began.wait()

    async def event(self) -> Event:
        """Returns the next event."""
        async with asyncio.timeout(IN_TIME):
            queued = await self._events.get()
        assert queued is not None, "the stream has ended"
        return queued

    async def until(self, kind: str) -> Any:
        """Returns the data of the next event of this kind."""
        while True:
            name, data = await self.event()
            if name == kind:
                return data

    async def rest(self) -> list[Event]:
        """Returns the events until the stream ends."""
        remaining = []
        async with asyncio.timeout(IN_TIME):
            while (event := await self._events.get()) is not None:
                remaining.append(event)
        await self._task
        return remaining

    async def leave(self) -> None:
        """Closes the connection."""
        self._left.set()
        async with asyncio.timeout(IN_TIME):
            await asyncio.wait([self._task])

    async def _receive(self) -> dict[str, Any]:
        if self._is_asked:
            await self._left.wait()
            return {"type": "http.disconnect"}
        self._is_asked = True
        return {"type": "http.request", "body": b""}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self._began.set()
            return
        self._text += message.get("body", b"").decode()
        *whole, self._text = self._text.split("\n\n")
        for each in whole:
            self._events.put_nowait(_event(each))


def events(answer: requests.Response) -> Iterator[Event]:
    """Yields the events of a program's stream, in order. Fails if the next one takes too long."""
    assert answer.status_code == 200, answer.text
    kind, last = "", time.monotonic()
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        assert time.monotonic() - last < IN_TIME, "no event came"
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))
            last = time.monotonic()


def until(stream: Iterator[Event], kind: str, **fields: Any) -> Any:
    """Returns the data of the next event of this kind with these fields. Raises StopIteration if the stream ends before."""
    return next(data for name, data in stream if name == kind and fields.items() <= data.items())


def _event(text: str) -> Event:
    if text.startswith(":"):
        return "", text
    kind, data = text.split("\n")
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@contextlib.asynccontextmanager
async def reading(
    stage: RestStage, path: str, token: str | None = TOKEN, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Reading]:
    """Reads a stream while the block runs."""
    sent = {**({"authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    stream = Reading(stage.app, http_scope("GET", path, sent))
    try:
        await stream.begin()
        yield stream
    finally:
        await stream.leave()
