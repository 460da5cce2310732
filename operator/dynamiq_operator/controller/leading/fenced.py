"""Wraps a client for the leader's writes: it sends nothing once another replica may lead, and stops in time what it has sent.

It cannot stop a request that has left this process. A network or a proxy may delay it, or the process may be paused while it sends.
Therefore each write also names what it was decided from. An apply, a patch or a deletion names the observed resourceVersion, which the next
leader's write changes. A creation names an object, which exists once another leader has created it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from dynamiq_operator.controller.leading.leader import LeaderElection
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest


class FencedClient(Client):
    """A client that writes only while this replica leads, over the connections of another client.

    Raises LeadershipLost instead of a late write.
    """

    def __init__(self, client: Client, election: LeaderElection) -> None:
        self._client, self._election = client, election

    async def request(self, method: str, path: str, **options: Any) -> Manifest:
        if method == "GET":
            return await self._client.request(method, path, **options)
        try:
            async with asyncio.timeout(self._election.left_to_write()):
                return await self._client.request(method, path, **options)
        except TimeoutError as error:
            raise errors.Unavailable(f"{method} {path}: the API server did not answer before another replica may lead") from error

    def pages(
        self, resource: ApiResource, namespace: str = "", *, label: str = "", field: str = "", at_once: bool = False
    ) -> AsyncIterator[Manifest]:
        return self._client.pages(resource, namespace, label=label, field=field, at_once=at_once)
