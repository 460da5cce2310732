"""Informers: lists and watch events update the cache, and the Apps that they affect go on the workqueue."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator

from dynamiq_operator.controller.cache import AppKey, Cache, key_of
from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.gateway_api import GatewayApi
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import WATCHED, ApiResource
from dynamiq_operator.model.objects import Manifest

ITEMS_AT_ONCE = 50
"""Items of a list that go into the cache before other tasks have their turn."""

log = logging.getLogger(__name__)


class Informers:
    """The informers of all watched resources. `namespaces` limits what is listed; None is the whole cluster."""

    def __init__(
        self, client: Client, cache: Cache, queue: WorkQueue[AppKey], namespaces: frozenset[str] | None, gateway_api: GatewayApi
    ) -> None:
        self._client, self._cache, self._queue = client, cache, queue
        self._namespaces, self.gateway_api = namespaces, gateway_api

    def resources(self) -> Iterator[ApiResource]:
        """The watched resources that the cluster served when they were listed."""
        return (resource for resource in WATCHED if not resource.optional or self.gateway_api.is_served)

    def on_watch_event(self, resource: ApiResource, type_: str | None, raw: Manifest) -> None:
        """Updates the cache by one watch event; `type_` is None for an object that existed when the watch began."""
        self._enqueue(self._cache.delete(resource, raw) if type_ == "DELETED" else self._cache.update(resource, raw))

    async def list_until_synced(self) -> None:
        """Lists every watched resource, and retries with backoff until all of it has succeeded."""
        failures = 0
        while True:
            try:
                await self.list_all()
            except errors.ApiError as error:
                failures += 1
                missing = isinstance(error, errors.NotFound)
                log.warning(
                    "the cluster cannot be listed yet, trying again: %s",
                    "our CustomResourceDefinitions are not there, kubectl apply -k crds" if missing else error,
                )
                await asyncio.sleep(errors.backoff(failures))
            else:
                return

    async def list_all(self) -> None:
        """Lists every watched resource once: at start, so that reconciles begin with a full cache, and later to find what a watch missed.

        Raises errors.ApiError, NotFound among them where our CustomResourceDefinitions are not installed.
        """
        for resource in WATCHED:
            for namespace in sorted(self._namespaces or {""}) if resource.namespaced else [""]:
                try:
                    await self._list(resource, namespace)
                except errors.NotFound:
                    if not resource.optional:
                        raise
                    self.gateway_api.on_listed(False)
                    self._enqueue(self._cache.retain(resource, frozenset(), sys.maxsize, None))
                else:
                    if resource.optional:
                        self.gateway_api.on_listed(True)

    async def _list(self, resource: ApiResource, namespace: str) -> None:
        """Takes page after page, and keeps none: the flows of a large cluster are more than fits into memory."""
        listed: set[AppKey] = set()
        version = 0
        async for page in self._client.pages(resource, namespace, label=resource.label_selector, field=resource.field_selector):
            # The first page's version is that of the whole list.
            version = version or int(page["metadata"]["resourceVersion"])
            for number, raw in enumerate(page["items"]):
                listed.add(key_of(raw))
                self._enqueue(self._cache.update(resource, raw))
                if number % ITEMS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # the lease is to be renewed and the probe to be answered meanwhile
        self._enqueue(self._cache.retain(resource, listed, version, frozenset({namespace}) if namespace else None))

    def _enqueue(self, apps: set[AppKey]) -> None:
        for app in apps:
            self._queue.add(app)
