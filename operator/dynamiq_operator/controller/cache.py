"""The informer cache: what was listed and watched, trimmed to what decisions need, and indexed by App.

Objects that the operator wrote are put in from the answers to its requests, so that the next reconcile observes them; an event that is
older than the cached object is ignored. Contents are not kept: of a flow only its hash, computed here from its bytes.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator

from dynamiq_operator.desired.exposure import hosts_of
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.kube.resources import APPS, CHILDREN, JOBS, PODS, RECORDS, ROUTES, RUNTIMES, VERSIONS, ApiResource
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.names import APP_LABEL, TRIGGER_OF_LABEL
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import CLOSED

AppKey = tuple[str, str]
"""Namespace and name of an App."""

CONTENT_HASH = "contentHash"
"""Key of a cached WorkflowVersion or ConfigMap: the hash of the flow that was left out of it."""
TOMBSTONES_MAX = 10_000


class Cache:
    """Objects by resource, namespace and name. Not thread-safe: everything runs in one event loop."""

    def __init__(self) -> None:
        self._objects: dict[ApiResource, dict[AppKey, Manifest]] = defaultdict(dict)
        self._by_app: dict[AppKey, set[tuple[ApiResource, AppKey]]] = defaultdict(set)
        self._by_hostname: dict[str, set[tuple[ApiResource, AppKey]]] = defaultdict(set)
        self._tombstones: OrderedDict[str, int] = OrderedDict()
        """resourceVersion at which an object was deleted, by uid: an older event must not bring it back."""

    def update(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
        """Adds or updates an object; returns the Apps to reconcile, none where the cache has a newer version of it."""
        key, version = _key(raw), _version(raw)
        cached = self._objects[resource].get(key)
        uid = raw["metadata"].get("uid", "")
        if self._tombstones.get(uid, -1) >= version or (cached is not None and _version(cached) >= version):
            return set()
        if resource is RECORDS and (raw.get("status") or {}).get("phase") in CLOSED:
            return self.delete(resource, raw)
        trimmed = _trimmed(resource, raw)
        affected_before = self._evict(resource, key)
        self._objects[resource][key] = trimmed
        for host in _hosts(resource, trimmed):
            self._by_hostname[host].add((resource, key))
        for app in (affected := self._affected_by(resource, trimmed)):
            if resource not in (VERSIONS, RUNTIMES):
                self._by_app[app].add((resource, key))
        return affected_before | affected

    def delete(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
        """Removes an object that was deleted, or that the selector no longer selects; returns the Apps to reconcile."""
        self._tombstones[raw["metadata"].get("uid", "")] = _version(raw)
        if len(self._tombstones) > TOMBSTONES_MAX:
            self._tombstones.popitem(last=False)
        return self._evict(resource, _key(raw)) | self._affected_by(resource, raw)

    def replace(self, resource: ApiResource, listed: Iterable[Manifest], version: int, namespaces: frozenset[str] | None) -> set[AppKey]:
        """Puts a whole list, of this resourceVersion, in place of what is cached; returns the Apps to reconcile.

        What the list lacks was deleted, which a watch that was interrupted never reports. `namespaces`: those listed; None is all.
        """
        by_key = {_key(raw): raw for raw in listed}
        affected: set[AppKey] = set()
        for key, cached in list(self._objects[resource].items()):
            inside = namespaces is None or key[0] in namespaces or not resource.namespaced
            if inside and key not in by_key and _version(cached) <= version:
                affected |= self.delete(resource, cached)
        for raw in by_key.values():
            affected |= self.update(resource, raw)
        return affected

    def get(self, resource: ApiResource, namespace: str, name: str) -> Manifest | None:
        """The cached object, or None."""
        return self._objects[resource].get((namespace, name))

    def of_app(self, app: AppKey) -> Iterator[tuple[ApiResource, Manifest]]:
        """Records, children, runs and pods of an App, ordered by kind, namespace and name."""
        for resource, key in sorted(self._by_app.get(app, ()), key=lambda entry: (entry[0].kind, entry[1])):
            yield resource, self._objects[resource][key]

    def routes_of(self, hostname: str) -> Iterator[Manifest]:
        """Routes with our labels that have the hostname."""
        return (self._objects[resource][key] for resource, key in self._by_hostname.get(hostname, ()))

    def versions(self, namespace: str, workflow: str) -> Iterator[Manifest]:
        """WorkflowVersions of a workflow."""
        return (
            raw for (where, _), raw in self._objects[VERSIONS].items() if where == namespace and raw["spec"].get("workflow") == workflow
        )

    def runtimes(self) -> Iterator[Manifest]:
        """Every Runtime of the cluster."""
        return iter(self._objects[RUNTIMES].values())

    def apps(self) -> set[AppKey]:
        """Every App, and the key of every App that is missing and that a record names."""
        return set(self._objects[APPS]) | set(self._by_app)

    def _evict(self, resource: ApiResource, key: AppKey) -> set[AppKey]:
        cached = self._objects[resource].pop(key, None)
        if cached is None:
            return set()
        for host in _hosts(resource, cached):
            self._by_hostname[host].discard((resource, key))
            if not self._by_hostname[host]:
                del self._by_hostname[host]
        affected = self._affected_by(resource, cached)
        for app in affected:
            self._by_app[app].discard((resource, key))
            if not self._by_app[app]:
                del self._by_app[app]
        return affected

    def _affected_by(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
        """The Apps whose plan an object may change."""
        namespace = raw["metadata"].get("namespace", "")
        if resource is APPS:
            return {(namespace, raw["metadata"]["name"])}
        if resource is RECORDS:
            return {(namespace, raw["spec"]["app"])}
        if resource in (PODS, JOBS) or resource in CHILDREN:
            labels = raw["metadata"].get("labels") or {}
            app = labels.get(APP_LABEL) or (labels.get(TRIGGER_OF_LABEL) if resource is PODS else None)
            return {(namespace, app)} if app else set()
        if resource is VERSIONS:
            return {app for app, spec in self._app_specs() if app[0] == namespace and spec.get("workflow") == raw["spec"].get("workflow")}
        return {app for app, _ in self._app_specs() if self._has_unpinned_record(app)}

    def _app_specs(self) -> Iterator[tuple[AppKey, Manifest]]:
        return ((app, raw["spec"]) for app, raw in self._objects[APPS].items())

    def _has_unpinned_record(self, app: AppKey) -> bool:
        return any(
            resource is RECORDS and "pinned" not in self._objects[resource][key]["spec"] for resource, key in self._by_app.get(app, ())
        )


def _key(raw: Manifest) -> AppKey:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def _version(raw: Manifest) -> int:
    return int(raw["metadata"].get("resourceVersion") or 0)


def _hosts(resource: ApiResource, raw: Manifest) -> frozenset[str]:
    return hosts_of(raw) if resource in ROUTES else frozenset()


def _trimmed(resource: ApiResource, raw: Manifest) -> Manifest:
    """The object without what no decision reads and what may be large."""
    if resource is VERSIONS:
        spec = {key: value for key, value in raw["spec"].items() if key != "flow"}
        return {**raw, "spec": spec, CONTENT_HASH: flow_hash(raw["spec"].get("flow", ""))}
    if resource.kind == "ConfigMap":
        return {**raw, "data": {}, CONTENT_HASH: flow_hash((raw.get("data") or {}).get(FLOW_KEY, ""))}
    if resource is PODS:
        is_caller = TRIGGER_OF_LABEL in (raw["metadata"].get("labels") or {})  # its containers carry the whole input of the trigger
        containers = [] if is_caller else raw["spec"]["containers"]
        return {"metadata": _without_managed_fields(raw), "spec": {"containers": containers}, "status": raw.get("status") or {}}
    if resource is JOBS:
        return {**raw, "metadata": _without_managed_fields(raw), "spec": {}}
    return raw


def _without_managed_fields(raw: Manifest) -> Manifest:
    return {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
