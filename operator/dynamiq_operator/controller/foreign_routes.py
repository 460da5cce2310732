"""Routes that are not cached: strangers' ones, and those that another operator made for Apps of namespaces that this one does not serve."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from dynamiq_operator.controller.cache import AppKey, key_of
from dynamiq_operator.desired import exposure
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import ROUTES, ApiResource
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import Manifest

FOREIGN_ROUTE_TTL = 14.0
"""Seconds for which they are cached: to find one reads every route of the cluster."""
STRANGERS = f"{names.MANAGED_BY}!={names.FIELD_MANAGER}"
"""Label selector of what no operator made."""


class ForeignRoute(NamedTuple):
    """`app`: whose it is, where another operator made it."""

    kind: str
    key: AppKey
    app: AppKey | None


class ForeignRoutes:
    """`namespaces`: those whose routes are cached; None is all. `clock`: monotonic seconds."""

    def __init__(self, client: Client, namespaces: frozenset[str] | None, clock: Callable[[], float]) -> None:
        self._client, self._namespaces, self._clock = client, namespaces, clock
        self._sought: dict[str, float] = {}
        """Hostnames of which one was looked for lately, and when."""
        self._found: dict[str, list[ForeignRoute]] = {}
        """By hostname, what the last reading, of `_read_at`, found of those hostnames."""
        self._read_at = 0.0

    async def of(self, key: AppKey, host: str) -> ForeignRoute | None:
        """A route that has the hostname and is none of the App's; it is looked for before a hostname is claimed.

        One reading finds those of all hostnames that are looked for: a tenant may have a thousand Apps whose hostnames others serve.
        Raises errors.ApiError.
        """
        self._sought[host] = self._clock()
        known = self._known(key, host) if self._clock() - self._read_at < FOREIGN_ROUTE_TTL else None
        if known is None:
            await self._read()
            known = self._known(key, host)
        return known

    def _known(self, key: AppKey, host: str) -> ForeignRoute | None:
        """One of the name that the App's own route has is told of by a condition of that."""
        own = (key[0], names.route(key[1]))
        return next((each for each in self._found.get(host, ()) if each.key != own), None)

    async def _read(self) -> None:
        now, found = self._clock(), dict[str, list[ForeignRoute]]()
        self._sought = {host: at for host, at in self._sought.items() if now - at < 2 * FOREIGN_ROUTE_TTL}
        for resource in ROUTES:
            try:
                async for raw in self._not_cached(resource):
                    for host in self._sought.keys() & exposure.hosts_of(raw):
                        found.setdefault(host, []).append(_foreign_route(resource, raw))
            except errors.NotFound:
                if not resource.optional:
                    raise
        self._found, self._read_at = found, now

    async def _not_cached(self, resource: ApiResource) -> AsyncIterator[Manifest]:
        """Those of Apps elsewhere only where not every namespace is served, and as far as they may be listed."""
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
