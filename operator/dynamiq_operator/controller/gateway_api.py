"""Whether the cluster serves HTTPRoutes: the Gateway API may be installed or removed while the operator runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from dynamiq_operator.controller.client import Client
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import HTTP_ROUTES

DISCOVERY_PERIOD = 10.0
"""Seconds between two discoveries while an App needs it and it is not served."""


class GatewayApi:
    """`is_served`: whether the last list of HTTPRoutes succeeded. `changed`: set when the watches must start anew, cleared as they do."""

    def __init__(self, client: Client, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._clock = client, clock
        self._discovered_at: float | None = None
        self.is_served = False
        self.changed = asyncio.Event()

    def on_listed(self, served: bool) -> None:
        """Notes whether a list of HTTPRoutes succeeded."""
        if served != self.is_served:
            self.changed.set()
        self.is_served = served

    async def require(self) -> bool:
        """Whether HTTPRoutes can be made, which is where they are watched. If not, looks for them at intervals. Raises errors.ApiError."""
        now = self._clock()
        if not self.is_served and (self._discovered_at is None or now - self._discovered_at >= DISCOVERY_PERIOD):
            self._discovered_at = now
            if await self._discover():
                self.changed.set()
        return self.is_served

    async def _discover(self) -> bool:
        try:
            found = await self._client.request("GET", f"/apis/{HTTP_ROUTES.api_version}")
        except errors.NotFound:
            return False
        return any(each["name"] == HTTP_ROUTES.plural for each in found.get("resources", ()))
