"""Claims of hostnames: a ConfigMap in the operator's namespace for each hostname, created by POST, so that the first App has it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from pydantic import ValidationError

from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.controller.client import Client
from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROUTES
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, format_time, parse_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.snapshot import ClaimState, HostnameClaim

OWN_CLAIM_TTL = 30.0
"""Seconds for which the App's own claim is cached."""
FOREIGN_ROUTE_TTL = 14.0
"""Seconds for which a foreign route of the hostname is cached: to find one reads every route of the cluster."""
CLAIMS = BY_KIND[CONFIG_MAP.kind]


class Claims:
    """Reads and writes claims in `namespace`. `namespaces`: those whose Apps are cached; None is all. `clock`: monotonic seconds."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        settings: Settings,
        namespace: str,
        namespaces: frozenset[str] | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client, self._cache, self._settings = client, cache, settings
        self._namespace, self._namespaces, self._clock = namespace, namespaces, clock
        self._own: dict[AppKey, tuple[tuple[str, str], HostnameClaim, float]] = {}
        self._foreign_routes: dict[AppKey, tuple[str, str, float]] = {}

    def drop(self, key: AppKey) -> None:
        """Drops what is cached for an App."""
        self._own.pop(key, None)
        self._foreign_routes.pop(key, None)

    async def of(self, key: AppKey, app: App) -> HostnameClaim:
        """Which App holds the hostname of this one. Raises errors.ApiError."""
        host = exposure.external_hostname(app, self._settings)
        if host is None:
            self.drop(key)
            return HostnameClaim()
        wanted = (host, app.meta.uid)  # for an App that was deleted and created again it is read anew: it may have another holder
        cached = self._own.get(key)
        if cached is not None and cached[0] == wanted and self._clock() - cached[2] < OWN_CLAIM_TTL:
            return cached[1]
        self._own.pop(key, None)
        try:
            raw = await self._client.get(CLAIMS, self._namespace, names.claim(host))
        except errors.NotFound:
            foreign = await self._foreign_route(key, host)
            return HostnameClaim(ClaimState.HELD, stranger=foreign) if foreign is not None else HostnameClaim(ClaimState.FREE)
        holder = (raw["data"]["namespace"], raw["data"]["app"])
        noted = (raw["metadata"].get("annotations") or {}).get(names.RELEASED_ANNOTATION)
        released_at = parse_time(noted) if noted else None
        if holder == key:
            claim = HostnameClaim(ClaimState.OURS, holder, released_at, raw)
            if released_at is None:
                self._own[key] = (wanted, claim, self._clock())
            return claim
        return HostnameClaim(ClaimState.HELD if self._is_wanted(holder, host) else ClaimState.ABANDONED, holder, released_at, raw)

    async def create(self, action: operations.ClaimHostname) -> None:
        """Creates the claim of a hostname. Raises errors.Conflict where another App has created it since."""
        meta = action.app.meta
        manifest: Manifest = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {"name": names.claim(action.hostname), "namespace": self._namespace, "labels": {names.CLAIM_LABEL: "hostname"}},
            "data": {"hostname": action.hostname, "namespace": meta.namespace, "app": meta.name},
        }
        try:
            await self._client.create(CLAIMS, manifest)
        except errors.AlreadyExists as error:
            raise errors.Conflict(str(error)) from error

    async def annotate(self, action: operations.KeepClaim) -> None:
        """Notes on a claim since when no App wants it, or that its holder does. Raises errors.Conflict where it was written since."""
        meta = action.claim["metadata"]
        noted = format_time(action.released_at) if action.released_at else None
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "annotations": {names.RELEASED_ANNOTATION: noted}}}
        await self._client.patch(CLAIMS, self._namespace, meta["name"], patch)

    async def release(self, action: operations.ReleaseClaim) -> None:
        """Deletes a claim, unless it was written since."""
        meta = action.claim["metadata"]
        await self._client.delete(CLAIMS, self._namespace, meta["name"], meta["uid"], version=meta["resourceVersion"])

    def _is_wanted(self, holder: AppKey, host: str) -> bool:
        """Whether the holder exists and has this hostname still; True where its namespace is not cached."""
        if self._namespaces is not None and holder[0] not in self._namespaces:
            return True
        raw = self._cache.get(APPS, *holder)
        try:
            return raw is not None and exposure.external_hostname(App.of(raw), self._settings) == host
        except ValidationError:
            return True

    async def _foreign_route(self, key: AppKey, host: str) -> str | None:
        """The kind of a route that is not the operator's and has the hostname; it is looked for before a hostname is claimed."""
        cached = self._foreign_routes.get(key)
        if cached is not None and cached[0] == host and self._clock() - cached[2] < FOREIGN_ROUTE_TTL:
            return cached[1]
        kind = await self._find_foreign_route(key, host)
        if kind is not None:
            self._foreign_routes[key] = (host, kind, self._clock())
        return kind

    async def _find_foreign_route(self, key: AppKey, host: str) -> str | None:
        for resource in ROUTES:
            for namespace in sorted(self._namespaces or {""}):
                try:
                    async for page in self._client.pages(resource, namespace):
                        if any(_is_foreign(raw, key) and host in _hosts(raw) for raw in page["items"]):
                            return resource.kind
                except errors.NotFound:
                    if not resource.optional:
                        raise
        return None


def _is_foreign(raw: Manifest, key: AppKey) -> bool:
    meta = raw["metadata"]
    ours = (meta.get("labels") or {}).get(names.MANAGED_BY) == names.FIELD_MANAGER
    return not ours and (meta["namespace"], meta["name"]) != (key[0], names.route(key[1]))


def _hosts(raw: Manifest) -> set[str]:
    """Hostnames of an Ingress or an HTTPRoute."""
    spec = raw["spec"]
    return {rule["host"] for rule in spec.get("rules") or () if "host" in rule} | set(spec.get("hostnames") or ())
