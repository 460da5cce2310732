"""What the watches see goes into the store, and the Apps that it may matter to go on the queue."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator

from dynamiq_operator.controller.cache import AppKey, Store
from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.gateway_api import GatewayApi
from dynamiq_operator.controller.workqueue import Queue
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import WATCHED, ApiResource
from dynamiq_operator.model.objects import Manifest

log = logging.getLogger(__name__)


class Watching:
    """The store and the queue behind it. `namespaces` limits what is listed; None is the whole cluster."""

    def __init__(self, store: Store, queue: Queue[AppKey], namespaces: frozenset[str] | None, gateway_api: GatewayApi) -> None:
        self.store, self.queue, self._namespaces, self.gateway_api = store, queue, namespaces, gateway_api

    def resources(self) -> Iterator[ApiResource]:
        """What the cluster had when it was listed, of all that is to be watched."""
        return (resource for resource in WATCHED if not resource.optional or self.gateway_api.is_there)

    def saw(self, resource: ApiResource, type_: str | None, raw: Manifest) -> None:
        """Takes in one event of a watch; `type_` is None for an object that was there when the watch began."""
        touched = self.store.remove(resource, raw) if type_ == "DELETED" else self.store.put(resource, raw)
        for app in touched:
            self.queue.add(app)

    async def list_all(self, client: Client) -> None:
        """Lists everything once: at start, so that decisions begin with a full store, and then to find what a watch missed."""
        for resource in WATCHED:
            for namespace in sorted(self._namespaces or {""}) if resource.namespaced else [""]:
                try:
                    await self._list(client, resource, namespace)
                except errors.NotFound:
                    if not resource.optional:
                        raise
                    self._lacks(resource)
                else:
                    if resource.optional:
                        self.gateway_api.listed(True)

    def _lacks(self, resource: ApiResource) -> None:
        self.gateway_api.listed(False)
        for app in self.store.replace(resource, (), sys.maxsize, None):
            self.queue.add(app)

    async def list_until_done(self, client: Client) -> None:
        """`list_all`, again and again until it goes well."""
        failures = 0
        while True:
            try:
                await self.list_all(client)
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

    async def _list(self, client: Client, resource: ApiResource, namespace: str) -> None:
        found: list[Manifest] = []
        version = 0
        async for page in client.pages(resource, namespace, label=resource.label_selector, field=resource.field_selector):
            # The first page's version is that of the whole list.
            version = version or int(page["metadata"]["resourceVersion"])
            found += page["items"]
        inside = frozenset({namespace}) if namespace else None
        for app in self.store.replace(resource, found, version, inside):
            self.queue.add(app)
