"""Finds routes that are not cached: those of strangers, and those of Apps in namespaces that another operator serves. It writes none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.desired import exposure
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import ROUTES, ApiResource, key_of
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import Manifest

FOREIGN_ROUTE_TTL = 14.0
"""Seconds for which they are cached: one search reads every route of the cluster."""
STRANGERS = f"{names.MANAGED_BY}!={names.FIELD_MANAGER}"
"""Label selector of routes that no operator made."""


class ForeignRoute(NamedTuple):
    """A route that is not cached. `app`: its App, if another operator made it."""

    kind: str
    key: AppKey
    app: AppKey | None


class ForeignRoutes:
    """The routes that are not cached. `namespaces`: those whose routes are cached; None is all. `clock`: monotonic seconds."""

    def __init__(self, client: Client, namespaces: frozenset[str] | None, clock: Callable[[], float]) -> None:
        self._client, self._namespaces, self._clock = client, namespaces, clock
        self._sought: dict[str, float] = {}
        """Hostnames that were searched lately, and when."""
        self._routes: dict[str, list[ForeignRoute]] = {}
        """Routes that the last search found, by hostname. `_read_at`: when that was."""
        self._read_at = 0.0

    async def of(self, key: AppKey, host: str) -> ForeignRoute | None:
        """Returns a route that has the hostname and is not the App's, or None. It is searched before a hostname is claimed.

        One search finds the routes of all searched hostnames: a tenant may have a thousand Apps whose hostnames others serve. Raises
        errors.ApiError.
        """
        self._sought[host] = self._clock()
        known = self._known(key, host) if self._clock() - self._read_at < FOREIGN_ROUTE_TTL else None
        if known is None:
            await self._read()
            known = self._known(key, host)
        return known

    def _known(self, key: AppKey, host: str) -> ForeignRoute | None:
        """Returns a known route of the hostname, or None. A route with the name of the App's own is reported by another condition."""
        own = (key[0], names.route(key[1]))
        return next((each for each in self._routes.get(host, ()) if each.key != own), None)

    async def _read(self) -> None:
        now, routes = self._clock(), dict[str, list[ForeignRoute]]()
        self._sought = {host: at for host, at in self._sought.items() if now - at < 2 * FOREIGN_ROUTE_TTL}
        for resource in ROUTES:
            try:
                async for raw in self._not_cached(resource):
                    for host in self._sought.keys() & exposure.hosts_of(raw):
                        routes.setdefault(host, []).append(_foreign_route(resource, raw))
            except errors.NotFound:
                if not resource.optional:
                    raise
        self._routes, self._read_at = routes, now

    async def _not_cached(self, resource: ApiResource) -> AsyncIterator[Manifest]:
        """Yields the routes that are not cached, as far as they can be listed. Routes of Apps are among them unless every namespace is
        served.
        """
        if self._namespaces is None:
            async for raw in self._listed(resource, label=STRANGERS):
                yield raw
            return
        try:
            async for raw in self._listed(resource):
                if not ownership.app_of(raw) or raw["metadata"]["namespace"] not in self._namespaces:
                    yield raw
        except errors.Denied:
            for namespace in sorted(self._namespaces):
                async for raw in self._listed(resource, namespace, label=STRANGERS):
                    yield raw

    async def _listed(self, resource: ApiResource, namespace: str = "", label: str = "") -> AsyncIterator[Manifest]:
        async for page in self._client.pages(resource, namespace, label=label):
            for raw in page["items"]:
                yield raw


def _foreign_route(resource: ApiResource, raw: Manifest) -> ForeignRoute:
    key, app = key_of(raw), ownership.app_of(raw)
    return ForeignRoute(resource.kind, key, (key[0], app) if app else None)
