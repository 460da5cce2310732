"""A resource of the API server, followed from a list on: every object once, then each change. No error ends it.

Objects are handed on and not kept: who needs something of them keeps that alone.
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
"""Seconds between two attempts at most."""


class NoCluster(Exception):  # noqa: N818
    """The cluster's configuration cannot be read; the message says what of it."""


async def connect(kubeconfig: Path | None, context: str | None) -> Client:
    """A client by the pod's own account, or by a kubeconfig, for which the package `kubernetes` has to be there.

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
    """What is told of a resource. Each call may raise store.Unavailable: then the resource is listed again."""

    def begin(self) -> None:
        """A list begins: what is not in it is gone."""

    async def page(self, objects: Sequence[Manifest]) -> None:
        """Objects of a list."""

    async def end(self) -> None:
        """The list was whole."""

    async def changed(self, raw: Manifest) -> None:
        """An object is new, or another than it was."""

    async def deleted(self, raw: Manifest) -> None:
        """An object is gone."""


class Informer(Following):
    """Lists and watches one resource, in all namespaces."""

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
