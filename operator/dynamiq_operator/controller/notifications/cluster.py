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
        self._due = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def allowed(self) -> Allowed:
        """What a sink's address may be. Nobody waits for a look but the first one; an address that was known once stays one of the cluster's."""
        is_first = self._due == float("-inf")
        if self._looking is None and self._clock() >= self._due:
            self._looking = asyncio.create_task(self._look())
        if is_first and self._looking is not None:
            await asyncio.shield(self._looking)
        return Allowed(self._networks, self._known)

    async def _look(self) -> None:
        try:
            said = [text for name in VARIABLES for text in self._environment.get(name, "").split(",")]
            called, own = await asyncio.gather(self._of_host(), self._of_slice())
            self._known |= addresses(said) | called | addresses(own)
        finally:
            self._looking, self._due = None, self._clock() + KNOWN_FOR

    async def _of_host(self) -> frozenset[Address]:
        """What the operator itself calls the API server by."""
        try:
            async with asyncio.timeout(WITHIN):
                server = urlsplit(await self._client.server())
                host, port = server.hostname or "", server.port or 443
                return addresses([host]) or addresses(await asyncio.to_thread(self._resolve, host, port))
        except Exception as error:  # such as of a login that cannot be renewed: what was known before is known on
            log.debug("the API server's address is not known: %s", type(error).__name__)
            return frozenset()

    async def _of_slice(self) -> Iterable[str]:
        """Where Service `kubernetes` leads to: the API server's own addresses."""
        try:
            found = await self._client.request("GET", SLICES.path("default", "kubernetes"), within=WITHIN)
        except errors.ApiError as error:
            log.debug("the API server's addresses are not known: %s", error)
            return ()
        return [address for endpoint in found.get("endpoints") or () for address in endpoint.get("addresses") or ()]
