"""Follows a resource of the API server: lists every object once, then passes on each change. No error ends it.

It keeps no objects: each follower keeps only what it needs of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dynamiq_operator.kube.api import in_a_pod
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.credentials import Credentials
from dynamiq_operator.kube.following import Following
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest
from dynamiq_recorder.store.interface import Unavailable

PAUSE_MAX = 5.0
"""Most seconds between two attempts."""


class NoCluster(Exception):  # noqa: N818
    """A cluster configuration that cannot be read; the message has the reason."""


async def connect(kubeconfig: Path | None, context: str | None) -> Client:
    """Returns a client with the pod's account, or with a kubeconfig, which needs the package `kubernetes`.

    Raises NoCluster.
    """
    is_pod = kubeconfig is None and context is None and in_a_pod()
    credentials = Credentials.of_pod() if is_pod else Credentials.of(kubeconfig, context)
    try:
        await credentials.login()
    except Exception as error:
        raise NoCluster(f"the cluster's configuration cannot be read: {error}") from error
    return Client(credentials)


class Follower(Protocol):
    """A receiver of a resource's objects. Each call may raise store.Unavailable; then the resource is listed again."""

    def begin(self) -> None:
        """Starts a list: an object that is not in it no longer exists."""

    async def page(self, objects: Sequence[Manifest]) -> None:
        """Receives objects of the list."""

    async def end(self) -> None:
        """Ends the list: it was complete."""

    async def changed(self, raw: Manifest) -> None:
        """Receives an object that is new or changed."""

    async def deleted(self, raw: Manifest) -> None:
        """Receives an object that was deleted."""


class Informer(Following):
    """A follower's list and watches of one resource, in all namespaces."""

    def __init__(self, client: Client, resource: ApiResource, follower: Follower) -> None:
        super().__init__(client, resource.path(), pause_max=PAUSE_MAX, lists_again=(Unavailable,))
        self._resource, self._follower = resource, follower

    async def _list(self) -> str:
        version = ""
        self._follower.begin()
        async for page in self._client.pages(self._resource):
            version = version or str(page["metadata"]["resourceVersion"])
            await self._follower.page(page["items"])
        await self._follower.end()
        return version

    async def _carry_out(self, kind: str, raw: Manifest) -> None:
        await (self._follower.deleted(raw) if kind == "DELETED" else self._follower.changed(raw))
