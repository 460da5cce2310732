"""Claims of hostnames: ConfigMaps of the operator's namespace, one for each hostname, made by POST."""

from __future__ import annotations

from time import monotonic

from pydantic import ValidationError

from dynamiq_operator.controller.cache import AppKey, Store
from dynamiq_operator.controller.client import Client
from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.base import CONFIG_MAP, INGRESS
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, HTTP_ROUTES
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, format_time, parse_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.snapshot import Claim, ClaimState

OURS_TRUSTED = 30.0
"""Seconds for which a claim that was ours is taken to be so still."""
STRANGER_TRUSTED = 14.0
"""Seconds for which a stranger's route is taken to be there still: to look for one reads every route of the cluster."""
CLAIMS = BY_KIND[CONFIG_MAP.kind]
INGRESSES = BY_KIND[INGRESS.kind]


class Claims:
    """Reads and writes claims in `namespace`. `namespaces`: those whose Apps the store has; None for all."""

    def __init__(self, client: Client, store: Store, settings: Settings, namespace: str, namespaces: frozenset[str] | None) -> None:
        self._client, self._store, self._settings = client, store, settings
        self._namespace, self._namespaces = namespace, namespaces
        self._ours: dict[AppKey, tuple[tuple[str, str], Claim, float]] = {}
        self._strange: dict[AppKey, tuple[str, str, float]] = {}

    def forget(self, key: AppKey) -> None:
        """Forgets what was known of an App that is gone."""
        self._ours.pop(key, None)
        self._strange.pop(key, None)

    async def of(self, key: AppKey, app: App) -> Claim:
        """Whose the hostname of this App is. Raises errors.ApiError."""
        host = exposure.external_hostname(app, self._settings)
        if host is None:
            self.forget(key)
            return Claim()
        asked = (host, app.meta.uid)  # an App that was deleted and created again looks anew: its claim may have been asked for meanwhile
        known = self._ours.get(key)
        if known is not None and known[0] == asked and monotonic() - known[2] < OURS_TRUSTED:
            return known[1]
        self._ours.pop(key, None)
        try:
            raw = await self._client.get(CLAIMS, self._namespace, names.claim(host))
        except errors.NotFound:
            stranger = await self._stranger(key, host)
            return Claim(ClaimState.HELD, stranger=stranger) if stranger is not None else Claim(ClaimState.FREE)
        holder = (raw["data"]["namespace"], raw["data"]["app"])
        noted = (raw["metadata"].get("annotations") or {}).get(names.RELEASED_ANNOTATION)
        released_at = parse_time(noted) if noted else None
        if holder == key:
            claim = Claim(ClaimState.OURS, holder, released_at, raw)
            if released_at is None:
                self._ours[key] = (asked, claim, monotonic())
            return claim
        return Claim(ClaimState.HELD if self._wants(holder, host) else ClaimState.ABANDONED, holder, released_at, raw)

    async def make(self, action: operations.ClaimHostname) -> None:
        """Claims a hostname. Raises errors.Conflict where another App was faster."""
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

    async def note(self, action: operations.KeepClaim) -> None:
        meta = action.claim["metadata"]
        noted = format_time(action.released_at) if action.released_at else None
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "annotations": {names.RELEASED_ANNOTATION: noted}}}
        await self._client.patch(CLAIMS, self._namespace, meta["name"], patch)

    async def release(self, action: operations.ReleaseClaim) -> None:
        meta = action.claim["metadata"]
        await self._client.delete(CLAIMS, self._namespace, meta["name"], meta["uid"], version=meta["resourceVersion"])

    def _wants(self, holder: AppKey, host: str) -> bool:
        """Whether the holder is there and wants the hostname still; of a namespace that is not served here nothing is known."""
        if self._namespaces is not None and holder[0] not in self._namespaces:
            return True
        raw = self._store.get(APPS, *holder)
        try:
            return raw is not None and exposure.external_hostname(App.of(raw), self._settings) == host
        except ValidationError:
            return True

    async def _stranger(self, key: AppKey, host: str) -> str | None:
        """The kind of a route that is not ours and has the hostname; looked up when it is claimed."""
        known = self._strange.get(key)
        if known is not None and known[0] == host and monotonic() - known[2] < STRANGER_TRUSTED:
            return known[1]
        kind = await self._look_for_stranger(key, host)
        if kind is not None:
            self._strange[key] = (host, kind, monotonic())
        return kind

    async def _look_for_stranger(self, key: AppKey, host: str) -> str | None:
        for resource in (INGRESSES, HTTP_ROUTES):
            for namespace in sorted(self._namespaces or {""}):
                try:
                    async for page in self._client.pages(resource, namespace):
                        if any(_is_strange(raw, key) and host in _hosts(raw) for raw in page["items"]):
                            return resource.kind
                except errors.NotFound:
                    if not resource.optional:
                        raise
        return None


def _is_strange(raw: Manifest, key: AppKey) -> bool:
    meta = raw["metadata"]
    ours = (meta.get("labels") or {}).get(names.MANAGED_BY) == names.FIELD_MANAGER
    return not ours and (meta["namespace"], meta["name"]) != (key[0], names.route(key[1]))


def _hosts(raw: Manifest) -> set[str]:
    """Hostnames of an Ingress or an HTTPRoute."""
    spec = raw["spec"]
    return {rule["host"] for rule in spec.get("rules") or () if "host" in rule} | set(spec.get("hostnames") or ())
