"""Notes whether the cluster serves HTTPRoutes: the Gateway API may be installed or removed while the operator runs. It lists none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import HTTP_ROUTES

DISCOVERY_PERIOD = 10.0
"""Seconds between two discoveries while an App needs the API and the cluster does not serve it."""

log = logging.getLogger(__name__)


class GatewayApi:
    """The state of the Gateway API. `is_served`: whether the last list of HTTPRoutes succeeded."""

    def __init__(self, client: Client, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._clock = client, clock
        self._discovered_at: float | None = None
        self.is_served = False
        self._may_list = asyncio.Event()

    def on_listed(self, served: bool) -> None:
        """Notes whether a list of HTTPRoutes succeeded."""
        if served != self.is_served:
            log.info("the cluster serves HTTPRoutes" if served else "the cluster serves no HTTPRoutes")
        self.is_served = served

    def allow_list(self) -> None:
        """Lets HTTPRoutes be listed once, without knowing that the cluster serves them."""
        self._may_list.set()

    async def until_may_list(self) -> None:
        """Returns when a list of HTTPRoutes may succeed."""
        self._may_list.clear()
        await self._may_list.wait()

    async def require(self) -> bool:
        """Returns True if HTTPRoutes are watched, so that they can be written. If not, searches for the API at intervals.

        Raises errors.ApiError.
        """
        now = self._clock()
        if not self.is_served and (self._discovered_at is None or now - self._discovered_at >= DISCOVERY_PERIOD):
            self._discovered_at = now
            if await self._discover():
                self.allow_list()
        return self.is_served

    async def _discover(self) -> bool:
        try:
            discovery = await self._client.request("GET", f"/apis/{HTTP_ROUTES.api_version}", required="resources")
        except errors.NotFound:
            return False
        return any(each.get("name") == HTTP_ROUTES.plural for each in discovery["resources"])
