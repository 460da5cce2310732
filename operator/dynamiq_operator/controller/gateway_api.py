"""Whether the cluster serves HTTPRoutes: the Gateway API may be installed or removed while the operator runs."""

from __future__ import annotations

import asyncio
from time import monotonic

from dynamiq_operator.controller.client import Client
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import HTTP_ROUTES

ASKED_EVERY = 10.0
"""Seconds between two questions while it is wanted and not there."""


class GatewayApi:
    """`is_there`: whether the last list of HTTPRoutes went well. `changed`: what is watched is to be chosen anew; whoever does clears it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: float | None = None
        self.is_there = False
        self.changed = asyncio.Event()

    def listed(self, there: bool) -> None:
        """Takes note of how a list went."""
        if there != self.is_there:
            self.changed.set()
        self.is_there = there

    async def wanted(self) -> bool:
        """Whether HTTPRoutes can be made: only where they are watched. While they are not, it asks now and then. Raises errors.ApiError."""
        if not self.is_there and (self._asked is None or monotonic() - self._asked >= ASKED_EVERY):
            self._asked = monotonic()
            if await self._is_served():
                self.changed.set()
        return self.is_there

    async def _is_served(self) -> bool:
        try:
            found = await self._client.request("GET", f"/apis/{HTTP_ROUTES.api_version}")
        except errors.NotFound:
            return False
        return any(each["name"] == HTTP_ROUTES.plural for each in found.get("resources", ()))
