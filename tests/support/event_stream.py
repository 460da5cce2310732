"""A stream of server-sent events of the staged API, as a browser reads it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tests.support.rest_stage import TOKEN, RestStage

PATIENCE = 20.0  # seconds
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
        async with asyncio.timeout(PATIENCE):
            await self._began.wait()

    async def event(self) -> Event:
        """The next event."""
        async with asyncio.timeout(PATIENCE):
            found = await self._events.get()
        assert found is not None, "the stream has ended"
        return found

    async def until(self, kind: str) -> Any:
        """The data of the next event of this kind."""
        while True:
            found, data = await self.event()
            if found == kind:
                return data

    async def rest(self) -> list[Event]:
        """The events until the stream ends."""
        found = []
        async with asyncio.timeout(PATIENCE):
            while (event := await self._events.get()) is not None:
                found.append(event)
        await self._task
        return found

    async def leave(self) -> None:
        """Closes the connection."""
        self._left.set()
        async with asyncio.timeout(PATIENCE):
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
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    found = Reading(stage.app, scope)
    try:
        await found.begin()
        yield found
    finally:
        await found.leave()
