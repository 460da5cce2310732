"""Whether the cluster serves HTTPRoutes: the Gateway API may be installed or removed while the operator runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import HTTP_ROUTES

DISCOVERY_PERIOD = 10.0
"""Seconds between two discoveries while an App needs it and it is not served."""

log = logging.getLogger(__name__)


class GatewayApi:
    """`is_served`: whether the last list of HTTPRoutes succeeded."""

    def __init__(self, client: Client, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._clock = client, clock
        self._discovered_at: float | None = None
        self.is_served = False
        self._found = asyncio.Event()

    def on_listed(self, served: bool) -> None:
        """Notes whether a list of HTTPRoutes succeeded."""
        if served != self.is_served:
            log.info("the cluster serves HTTPRoutes" if served else "the cluster serves no HTTPRoutes")
        self.is_served = served

    def look(self) -> None:
        """Lets HTTPRoutes be listed once, though nobody knows whether they are served by now."""
        self._found.set()

    async def until_found(self) -> None:
        """Returns when it is worth while to list HTTPRoutes."""
        self._found.clear()
        await self._found.wait()

    async def require(self) -> bool:
        """Whether HTTPRoutes can be made, which is where they are watched. If not, looks for them at intervals. Raises errors.ApiError."""
        now = self._clock()
        if not self.is_served and (self._discovered_at is None or now - self._discovered_at >= DISCOVERY_PERIOD):
            self._discovered_at = now
            if await self._discover():
                self.look()
        return self.is_served

    async def _discover(self) -> bool:
        try:
            found = await self._client.request("GET", f"/apis/{HTTP_ROUTES.api_version}", required="resources")
        except errors.NotFound:
            return False
        return any(each.get("name") == HTTP_ROUTES.plural for each in found["resources"])
