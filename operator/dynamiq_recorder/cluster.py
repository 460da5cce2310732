"""A resource of the API server, followed from a list on: every object once, then each change. No error ends it.

Objects are handed on and not kept: who needs something of them keeps that alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Protocol

from dynamiq_operator.kube import errors, watching
from dynamiq_operator.kube.api import in_a_pod
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.credentials import Credentials
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.kube.watching import BRIEF, EXPIRED, GRACE, WATCH_FOR
from dynamiq_operator.model.objects import Manifest
from dynamiq_recorder.store.interface import Unavailable

PAUSE_MAX = 5.0

log = logging.getLogger(__name__)


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


class Informer:
    """Lists and watches one resource, in all namespaces."""

    def __init__(self, client: Client, resource: ApiResource, follower: Follower) -> None:
        self._client, self._resource, self._follower = client, resource, follower
        self._path = resource.path()
        self._version = ""
        self._failures = 0
        self.listed = asyncio.Event()
        """Set once it was listed."""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            began = monotonic()
            try:
                await (self._watch() if self._version else self._list())
                if self._failures > 1:
                    log.warning("%s is read again, after %d failures", self._path, self._failures)
                self._failures = 0
            except Unavailable as error:
                self._version = ""
                await self._pause(error)
            except errors.ApiError as error:
                has_lasted = bool(self._version) and monotonic() - began >= WATCH_FOR
                if isinstance(error, errors.Unavailable) and error.status != EXPIRED and has_lasted:
                    continue  # a watch that went silent: another one begins where it was
                if error.status == EXPIRED or not isinstance(error, errors.Unavailable):
                    self._version = ""
                await self._pause(error)

    async def _pause(self, error: Exception) -> None:
        self._failures += 1
        if self._failures > 1:
            log.warning("%s cannot be read, trying again: %s", self._path, error)
            await asyncio.sleep(min(errors.backoff(self._failures - 1), PAUSE_MAX) * random.uniform(0.7, 1.0))  # noqa: S311

    async def _list(self) -> None:
        version = ""
        self._follower.begin()
        async for page in self._client.pages(self._resource):
            version = version or str(page["metadata"]["resourceVersion"])
            await self._follower.page(page["items"])
        await self._follower.end()
        self._version = version
        self.listed.set()

    async def _watch(self) -> None:
        began, heard = monotonic(), False
        async with self._client.watch(self._path, watching.query(self._version), WATCH_FOR + GRACE) as lines:
            async for line in lines:
                event = watching.event_of(line, self._path)
                heard = True
                raw = event["object"]
                if event["type"] == "DELETED":
                    await self._follower.deleted(raw)
                elif event["type"] != "BOOKMARK":
                    await self._follower.changed(raw)
                self._version = str(raw["metadata"]["resourceVersion"])
        if not heard and monotonic() - began < BRIEF:
            raise errors.Unavailable(f"watch {self._path}: it ended at once")
