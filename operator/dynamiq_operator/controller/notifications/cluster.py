"""Addresses of the cluster's own that can be known: of the API server, of the operator's pods and of its node. No sink is at one of them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from urllib.parse import urlsplit

from dynamiq_operator.controller.notifications.addresses import Address, Allowed, Network, addresses
from dynamiq_operator.controller.notifications.delivery import Resolve, system_addresses
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SLICES

KNOWN_FOR = 60.0
"""Seconds after which they are looked up again, where something is to be sent."""
WITHIN = 3.0
VARIABLES = ("KUBERNETES_SERVICE_HOST", "POD_IPS", "HOST_IPS")
"""Variables of the operator's pod; those of IPs have several, with commas between them."""

log = logging.getLogger(__name__)


class ClusterAddresses:
    """`networks`: where sinks may be beside the internet."""

    def __init__(
        self,
        client: Client,
        networks: tuple[Network, ...],
        environment: Mapping[str, str] = os.environ,
        resolve: Resolve = system_addresses,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client, self._networks, self._environment, self._resolve, self._clock = client, networks, environment, resolve, clock
        self._known: frozenset[Address] = frozenset()
        self._at = float("-inf")
        self._looking = asyncio.Lock()

    async def allowed(self) -> Allowed:
        """What a sink's address may be. An address that was known once stays one of the cluster's."""
        async with self._looking:
            if self._clock() - self._at >= KNOWN_FOR:
                said = [text for name in VARIABLES for text in self._environment.get(name, "").split(",")]
                called, own = await asyncio.gather(self._of_host(), self._of_slice())
                self._known |= addresses(said) | called | addresses(own)
                self._at = self._clock()
        return Allowed(self._networks, self._known)

    async def _of_host(self) -> frozenset[Address]:
        """What the operator itself calls the API server by."""
        server = urlsplit(await self._client.server())
        host, port = server.hostname or "", server.port or 443
        try:
            async with asyncio.timeout(WITHIN):
                return addresses([host]) or addresses(await asyncio.to_thread(self._resolve, host, port))
        except (OSError, TimeoutError):
            return frozenset()

    async def _of_slice(self) -> Iterable[str]:
        """Where Service `kubernetes` leads to: the API server's own addresses."""
        try:
            found = await self._client.request("GET", SLICES.path("default", "kubernetes"), within=WITHIN)
        except errors.ApiError as error:
            log.debug("the API server's addresses are not known: %s", error)
            return ()
        return [address for endpoint in found.get("endpoints") or () for address in endpoint.get("addresses") or ()]
