"""Reads and writes claims of hostnames. A claim is a ConfigMap in the operator's namespace, created by POST: the first App gets the
hostname. It changes no route.

If a claim is missing, the cached routes decide who has the hostname: claims can be lost, and what serves stays. Operators of different
namespaces share the claims of one namespace. Objects that another operator serves are not cached. They are read if that is allowed: the App
that holds a claim, and a route elsewhere that serves an unclaimed hostname.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.hostnames.foreign_routes import ForeignRoutes
from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, BY_KIND
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import App, Manifest, Meta, Unreadable, format_time, parse_time, read
from dynamiq_operator.model.row import Result
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.observed.claim import ClaimState, HostnameClaim
from dynamiq_operator.plan.observed.serving import Age, Serving, in_order

OWN_CLAIM_TTL = 30.0
"""Seconds for which the App's own claim is cached."""
FAILED_TTL = 14.0
"""Seconds until a claim that could not be created is tried again."""
OTHERS_MOST = 500
"""Apps that a claim lists beside its holder, oldest first. An object has room for a few thousand: a caller with more could prevent the
claim."""
CLAIMS = BY_KIND[CONFIG_MAP.kind]


NEVER = datetime.max.replace(tzinfo=UTC)


class Claims:
    """The claims in `namespace`. `namespaces`: those whose Apps are cached; None is all. `clock`: monotonic seconds."""

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
        self._not_made: dict[AppKey, tuple[str, str, float]] = {}
        self._foreign = ForeignRoutes(client, namespaces, clock)
        self.is_read = True
        """False until it is known which claims exist: before that, a claim must not count as missing."""

    def drop(self, key: AppKey) -> None:
        """Drops what is cached of an App."""
        self._own.pop(key, None)
        self._not_made.pop(key, None)

    async def of(self, key: AppKey, app: App) -> HostnameClaim:
        """Returns which App holds the hostname of this one. An unreadable claim is unknown, not missing.

        While the API server does not answer, the cached claim is returned. Raises errors.ApiError if there is none.
        """
        host = exposure.external_hostname(app, self._settings)
        if host is None:
            self.drop(key)
            return HostnameClaim()
        identity = (host, app.meta.uid)  # an App that was created again may have another holder
        if not self.is_read:
            raise errors.Unavailable("claims of hostnames have not been read yet")
        cached = self._own.get(key)
        if cached is not None and cached[0] == identity and self._clock() - cached[2] < OWN_CLAIM_TTL:
            return cached[1]
        failed = self._not_made.get(key)
        if failed is not None and failed[0] == host and self._clock() - failed[2] < FAILED_TTL:
            return HostnameClaim(ClaimState.UNKNOWN, unread=f"its claim cannot be made: {failed[1]}")
        try:
            claim = await self._read(key, host)
        except errors.ApiError as error:
            if isinstance(error, errors.Unavailable):
                if cached is not None and cached[0] == identity:
                    return cached[1]
                raise
            return HostnameClaim(ClaimState.UNKNOWN, unread=f"its claim cannot be read: {error}")
        self._own.pop(key, None)
        if claim.state is ClaimState.OURS and claim.released_at is None:
            self._own[key] = (identity, claim, self._clock())
        return claim

    async def _read(self, key: AppKey, host: str) -> HostnameClaim:
        """Reads the claim of a hostname, and compares it with the routes that serve it."""
        serving = {app: each.age for app, each in self.serving(host).items() if each.wanted}
        try:
            raw = await self._client.get(CLAIMS, self._namespace, names.claim(host))
        except errors.NotFound:
            return await self._unclaimed(key, host, serving)
        holder = _holder(raw)
        if holder is None:
            problem = f"its claim, ConfigMap {names.claim(host)} in namespace {self._namespace}, names no App: delete it, and the operator creates it again"
            return HostnameClaim(ClaimState.UNKNOWN, unread=problem)
        if holder == key:
            rival = next((app for app in in_order(serving) if app != key), None)
            if (
                key not in serving and rival is not None and serving[rival].precedes(_claimed_since(raw))
            ):  # an old claim, which a restore created again
                return HostnameClaim(ClaimState.HELD, rival)
            return HostnameClaim(ClaimState.OURS, holder, _released_at(raw), raw)
        return self._of_another(key, raw, holder, serving, is_wanted=await self._is_wanted_anywhere(holder, host))

    async def _unclaimed(self, key: AppKey, host: str, serving: Mapping[AppKey, Age]) -> HostnameClaim:
        """Returns who has an unclaimed hostname: the App with the oldest route. Foreign routes are read only if no cached one serves it."""
        apps = in_order(serving)
        if key in apps[:1]:
            return HostnameClaim(ClaimState.FREE, since=serving[key].created, others=tuple(apps[1:]))
        if apps:
            return HostnameClaim(ClaimState.CONTESTED if key in serving else ClaimState.HELD, apps[0])
        foreign = await self._foreign.of(key, host)
        if foreign is None:
            return HostnameClaim(ClaimState.FREE)
        return HostnameClaim(ClaimState.HELD, foreign.app) if foreign.app else HostnameClaim(ClaimState.HELD, stranger=foreign.kind)

    def _of_another(self, key: AppKey, raw: Manifest, holder: AppKey, serving: Mapping[AppKey, Age], *, is_wanted: bool) -> HostnameClaim:
        """Returns the state of a claim that another App holds. `is_wanted`: whether the holder still has the hostname.

        A route of this App serves on if it was made with this hostname, or if the claim lists this App. The holder must serve the hostname,
        too, or possibly do so: after claims were lost, both may have had it.
        """
        seen = self._is_served(holder[0])
        if key in serving and holder not in serving and (not is_wanted or serving[key].precedes(_claimed_since(raw))):
            return HostnameClaim(ClaimState.STALE, holder, raw=raw if seen or not is_wanted else None)
        both = holder in serving or not seen or _time(raw, names.CLAIMED_ANNOTATION) is not None
        all_along = key in serving and (not serving[key].changed or _is_noted(raw, key))
        if all_along and is_wanted and both:
            return HostnameClaim(ClaimState.CONTESTED, holder)
        return HostnameClaim(ClaimState.HELD if is_wanted else ClaimState.ABANDONED, holder, _released_at(raw), raw)

    async def create(self, action: operations.ClaimHostname) -> None:
        """Creates the claim of a hostname. If the API server refuses it, `of` reports that until it is tried again.

        Raises errors.Conflict if another App has created it since, and errors.ApiError if the API server did not answer.
        """
        meta = action.app.meta
        annotations = {names.CLAIMED_ANNOTATION: format_time(action.since)} if action.since else {}
        if action.others:
            annotations[names.CONTESTED_ANNOTATION] = ",".join("/".join(other) for other in action.others[:OTHERS_MOST])
        manifest: Manifest = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {
                "name": names.claim(action.hostname),
                "namespace": self._namespace,
                "labels": {names.CLAIM_LABEL: "hostname"},
                "annotations": annotations,
            },
            "data": {"hostname": action.hostname, "namespace": meta.namespace, "app": meta.name},
        }
        try:
            await self._client.create(CLAIMS, manifest)
        except errors.AlreadyExists as error:
            raise errors.Conflict(str(error)) from error
        except (errors.Denied, errors.Invalid, errors.NotFound) as error:  # a quota; a namespace that is missing, or being deleted
            self._not_made[(meta.namespace, meta.name)] = (action.hostname, str(error), self._clock())
        else:
            self._not_made.pop((meta.namespace, meta.name), None)

    async def annotate(self, action: operations.KeepClaim) -> None:
        """Notes on a claim since when no App wants it, or that its holder wants it again.

        Raises errors.Conflict if it was written since.
        """
        meta = action.claim["metadata"]
        noted = format_time(action.released_at) if action.released_at else None
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "annotations": {names.RELEASED_ANNOTATION: noted}}}
        await self._client.patch(CLAIMS, self._namespace, meta["name"], patch)

    async def release(self, action: operations.ReleaseClaim) -> None:
        """Deletes a claim, unless it was written since."""
        meta = action.claim["metadata"]
        await self._client.delete(CLAIMS, self._namespace, meta["name"], meta["uid"], version=meta["resourceVersion"])

    def _is_wanted(self, holder: AppKey, host: str) -> bool:
        """Returns True if the holder exists and still has this hostname, or if its namespace is not cached."""
        if not self._is_served(holder[0]):
            return True
        app = self._cache.app(holder)
        return isinstance(app, Unreadable) or (app is not None and exposure.external_hostname(app, self._settings) == host)

    async def _is_wanted_anywhere(self, holder: AppKey, host: str) -> bool:
        """Returns the same as `_is_wanted`, but reads a holder in a namespace that is not cached. Returns True if that is not allowed."""
        if self._is_served(holder[0]):
            return self._is_wanted(holder, host)
        try:
            app = read(App, await self._client.get(APPS, *holder))
        except errors.NotFound:
            return False
        except errors.Denied:
            return True
        if isinstance(app, Unreadable):
            return True
        # The holder's operator may have another domain: the rest of the hostname may be that one.
        domain = host.removeprefix(f"{app.meta.name}.{app.meta.namespace}.")
        return exposure.external_hostname(app, self._settings.model_copy(update={"domain": domain})) == host

    def _is_served(self, namespace: str) -> bool:
        """Returns True if the Apps of a namespace are cached."""
        return self._namespaces is None or namespace in self._namespaces

    def serving(self, host: str) -> dict[AppKey, Serving]:
        """Returns the Apps whose routes have the hostname, each with the age of its oldest route."""
        apps: dict[AppKey, Serving] = {}
        for route in self._cache.routes_of(host):
            key, meta = (route["metadata"]["namespace"], ownership.app_of(route)), Meta.of(route)
            raw = self._cache.get(APPS, *key)
            if raw is None or meta.deleting or not ownership.is_owned(route, uid := raw["metadata"].get("uid", "")):
                continue
            each = Serving(Age(meta.generation > 1, meta.created, self._deployed(key, uid)), self._is_wanted(key, host))
            apps[key] = replace(each, age=min(apps.get(key, each).age, each.age))
        return apps

    def _deployed(self, key: AppKey, uid: str) -> datetime:
        """Returns when an App's live row was pinned; `NEVER` if it has none, or the time is unknown."""
        rows = (row["spec"] for row in self._cache.rows_of(key) if ownership.may_be_of(uid, row))
        succeeded = (spec for spec in rows if (spec.get("outcome") or {}).get("result") == Result.SUCCEEDED)
        live = max(succeeded, key=lambda spec: spec.get("sequence") or 0, default=None)
        try:
            return parse_time(live["pinned"]["createdAt"]) if live is not None else NEVER
        except (KeyError, TypeError, ValueError):
            return NEVER


def _holder(claim: Manifest) -> AppKey | None:
    """Returns the App that a claim names; None if another manager overwrote its data."""
    data = claim.get("data") or {}
    namespace, app = data.get("namespace"), data.get("app")
    return (namespace, app) if namespace and app else None


def _time(claim: Manifest, annotation: str) -> datetime | None:
    noted = (claim["metadata"].get("annotations") or {}).get(annotation)
    try:
        return parse_time(noted) if noted else None
    except ValueError:
        return None


def _released_at(claim: Manifest) -> datetime | None:
    return _time(claim, names.RELEASED_ANNOTATION)


def _is_noted(claim: Manifest, key: AppKey) -> bool:
    """Returns True if the App served the hostname when the claim was created again: the operator may have changed its route since."""
    noted = (claim["metadata"].get("annotations") or {}).get(names.CONTESTED_ANNOTATION) or ""
    return "/".join(key) in noted.split(",")


def _claimed_since(claim: Manifest) -> datetime:
    return _time(claim, names.CLAIMED_ANNOTATION) or Meta.of(claim).created
