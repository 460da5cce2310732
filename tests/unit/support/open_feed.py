"""A server in place of the journal that answers its counts of open runs alone."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web


class OpenFeed:
    """The counts. A poll is answered once their version changes. `asked`: the query of each request; `tokens`: what they showed."""

    def __init__(self, *data: dict[str, Any]) -> None:
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.status = 200
        self.version, self.data = 1, list(data)
        self.changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.query_string)
        self.tokens.add(request.headers.get("Authorization", ""))
        while request.query.get("after") == str(self.version) and self.status == 200:
            self.changed.clear()
            await self.changed.wait()
        return web.json_response({"version": str(self.version), "data": self.data}, status=self.status)

    def set(self, *data: dict[str, Any], status: int = 200) -> None:
        self.version, self.data, self.status = self.version + 1, list(data), status
        self.changed.set()
