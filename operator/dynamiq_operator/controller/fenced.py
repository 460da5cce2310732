"""The client by which the leader writes: it sends nothing once another replica may lead, and gives up in time what it has sent.

That bounds what this process does. What left it can still arrive later, held up by a network or a proxy, or sent by a process that
was paused in the middle. So a write names what it was decided from, too: an apply, a patch or a deletion the resourceVersion of
what was observed, which the next leader moves on when it writes; a creation the name that is there when another has made it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from dynamiq_operator.controller.leader import LeaderElection
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest


class FencedClient(Client):
    """The verbs of a client, over the connections of another. Raises LeadershipLost in place of a write that is too late."""

    def __init__(self, client: Client, election: LeaderElection) -> None:
        self._client, self._election = client, election

    async def request(self, method: str, path: str, **options: Any) -> Manifest:
        if method == "GET":
            return await self._client.request(method, path, **options)
        try:
            async with asyncio.timeout(self._election.left_to_write()):
                return await self._client.request(method, path, **options)
        except TimeoutError as error:
            raise errors.Unavailable(f"{method} {path}: no answer before another replica may lead") from error

    def pages(self, resource: ApiResource, namespace: str = "", **selectors: str) -> AsyncIterator[Manifest]:
        return self._client.pages(resource, namespace, **selectors)
