"""Updates the cache by lists and watch events, and queues the Apps that they affect. It reconciles nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.cached.denials import Denials
from dynamiq_operator.controller.cached.gateway_api import GatewayApi
from dynamiq_operator.controller.watching.feed import Feed
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, ROWS, SLICES, WATCHED, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

FAILS_FOR = 30.0
"""Seconds to wait for the first list of any other kind, once Apps and rows are listed, before starting without it."""

log = logging.getLogger(__name__)


class Informers:
    """The informers of all watched resources. `namespaces` limits what is listed; None is the whole cluster.

    EndpointSlices in `gate_namespace` are always watched: they show whether a gate exists for sleeping Apps.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        queue: WorkQueue[AppKey],
        namespaces: frozenset[str] | None,
        gateway_api: GatewayApi,
        denials: Denials,
        gate_namespace: str = names.GATE_NAMESPACE,
    ) -> None:
        self._cache, self._queue, self._gateway_api = cache, queue, gateway_api
        self._feeds = {
            feed.path: feed
            for resource in WATCHED
            for namespace in _watched_namespaces(resource, namespaces, gate_namespace)
            for feed in [Feed(resource, namespace, client, cache, gateway_api, denials, self._enqueue)]
        }

    @property
    def feeds(self) -> Iterator[Feed]:
        """One feed for each watched resource and namespace."""
        return iter(self._feeds.values())

    def feed_at(self, path: str) -> Feed | None:
        """Returns the feed of a collection's URL path; None if it is not watched."""
        return self._feeds.get(path)

    def on_watch_event(self, resource: ApiResource, type_: str | None, raw: Manifest) -> None:
        """Updates the cache by one watch event. `type_`: None for an object that existed when the watch began."""
        self._enqueue(self._cache.delete(resource, raw) if type_ == "DELETED" else self._cache.update(resource, raw))

    async def until_synced(self) -> None:
        """Returns when everything was listed that can be. It always waits for Apps and rows: without them nothing can be decided."""
        for feed in self.feeds:
            if feed.resource in (APPS, ROWS):
                await feed.listed.wait()
        until = asyncio.get_running_loop().time() + FAILS_FOR
        for feed in self.feeds:
            while not feed.known.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(until - asyncio.get_running_loop().time(), 0.1)):
                        await feed.known.wait()
                feed.do_without()

    async def list_again(self) -> None:
        """Lists every watched resource once more, to find what a watch missed. A list that fails is left to its feed."""
        for feed in self.feeds:
            if feed.is_held:
                self._gateway_api.allow_list()
                continue
            try:
                await feed.list_once()
            except errors.ApiError as error:
                log.warning("%s could not be listed again: %s", feed.path, error)

    def _enqueue(self, apps: set[AppKey]) -> None:
        for app in apps:
            self._queue.add(app)


def _watched_namespaces(resource: ApiResource, namespaces: frozenset[str] | None, gate_namespace: str) -> list[str]:
    if not resource.namespaced or namespaces is None:
        return [""]
    return sorted(namespaces | {gate_namespace} if resource is SLICES else namespaces)
