"""Finds the cluster's own addresses, as far as it can: of the API server, the operator's pods and its node. No sink may have one of them."""

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
"""Seconds after which they are read again, if something is to be sent."""
WITHIN = 3.0
VARIABLES = ("KUBERNETES_SERVICE_HOST", "POD_IPS", "HOST_IPS")
"""Variables of the operator's pod. Those of IPs have several, separated by commas."""

log = logging.getLogger(__name__)


class ClusterAddresses:
    """The cluster's own addresses. `networks`: where sinks may be beside the internet."""

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
        self._reading: asyncio.Task[None] | None = None

    async def allowed(self) -> Allowed:
        """Returns the addresses that a sink may have. Only the first call waits for a read. Known addresses stay the cluster's own."""
        is_first = self._due == float("-inf")
        if self._reading is None and self._clock() >= self._due:
            self._reading = asyncio.create_task(self._read())
        if is_first and self._reading is not None:
            await asyncio.shield(self._reading)
        return Allowed(self._networks, self._known)

    async def _read(self) -> None:
        try:
            texts = [text for name in VARIABLES for text in self._environment.get(name, "").split(",")]
            server, own = await asyncio.gather(self._of_host(), self._of_slice())
            self._known |= addresses(texts) | server | addresses(own)
        finally:
            self._reading, self._due = None, self._clock() + KNOWN_FOR

    async def _of_host(self) -> frozenset[Address]:
        """Returns the addresses by which the operator calls the API server."""
        try:
            async with asyncio.timeout(WITHIN):
                server = urlsplit(await self._client.server())
                host, port = server.hostname or "", server.port or 443
                return addresses([host]) or addresses(await asyncio.to_thread(self._resolve, host, port))
        except Exception as error:  # such as a login that cannot be renewed: known addresses stay known
            log.debug("the API server's address is unknown: %s", type(error).__name__)
            return frozenset()

    async def _of_slice(self) -> Iterable[str]:
        """Returns the API server's own addresses, to which Service `kubernetes` leads."""
        try:
            raw = await self._client.request("GET", SLICES.path("default", "kubernetes"), within=WITHIN)
        except errors.ApiError as error:
            log.debug("the API server's addresses are unknown: %s", error)
            return ()
        return [address for endpoint in raw.get("endpoints") or () for address in endpoint.get("addresses") or ()]
