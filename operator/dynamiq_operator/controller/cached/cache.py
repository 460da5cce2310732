"""Caches the listed and watched objects, trimmed to what decisions need (`slim`), and indexed by App. It makes no requests.

Objects that the operator wrote enter from the answers to its requests, and children that it deleted are removed: the next reconcile
observes both. An event that is older than the cached object is ignored. An index answers every query: an event costs the same with any
number of Apps, releases and rows.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Set
from typing import Any, NamedTuple

from dynamiq_operator.controller.cached.guard_index import GuardIndex
from dynamiq_operator.controller.cached.objects import AllObjects, version_of
from dynamiq_operator.controller.cached.slim import CONTENT_HASH as CONTENT_HASH
from dynamiq_operator.controller.cached.slim import slim
from dynamiq_operator.desired.exposure import hosts_of
from dynamiq_operator.desired.gate_slice import leads_to_gate
from dynamiq_operator.kube.resources import (
    APPS,
    CHILDREN,
    DEPLOY_POLICIES,
    GUARDS,
    JOBS,
    NAMESPACES,
    PODS,
    ROUTES,
    ROWS,
    RUNTIMES,
    SLICES,
    VERSIONS,
    ApiResource,
    key_of,
)
from dynamiq_operator.model import names
from dynamiq_operator.model.names import APP_LABEL, FINISHING_OF_LABEL, TRIGGER_OF_LABEL, VERIFICATION_OF_LABEL
from dynamiq_operator.model.objects import App, Manifest, Unreadable, read
from dynamiq_operator.model.row import CLOSED

AppKey = tuple[str, str]
"""Namespace and name of an App."""

TOMBSTONES_MAX = 10_000


class FormerApp(NamedTuple):
    """A deleted App. `version`: the resourceVersion of its deletion, or an earlier one if the deletion was missed."""

    uid: str
    version: int


log = logging.getLogger(__name__)


class Cache:
    """The cached objects, by resource, namespace and name. It is not thread-safe: it refuses any thread but the one that made it.

    `gate_namespace`: where the gate is installed, or may be.
    """

    def __init__(self, gate_namespace: str = names.GATE_NAMESPACE) -> None:
        self._gate_namespace = gate_namespace
        self._owner = threading.get_ident()
        self._objects = AllObjects()
        self._by_app: dict[AppKey, set[tuple[ApiResource, AppKey]]] = defaultdict(set)
        self._of_workflow: dict[tuple[ApiResource, AppKey], set[AppKey]] = defaultdict(set)
        """Keys of a workflow's Apps and releases, by the workflow's namespace and name."""
        self._unpinned: dict[AppKey, set[AppKey]] = defaultdict(set)
        """Keys of an App's unpinned rows, which may wait for a Runtime."""
        self._by_hostname: dict[str, set[tuple[ApiResource, AppKey]]] = defaultdict(set)
        """Routes with our labels, by each of their hostnames."""
        self._with_slices: dict[AppKey, set[AppKey]] = defaultdict(set)
        """Keys of an App's EndpointSlices; most Apps have none that is watched."""
        self._of_gate: dict[str, set[AppKey]] = defaultdict(set)
        """Keys of the EndpointSlices of the gate's own Service, by the Service's name."""
        self._at_gate: dict[int, set[AppKey]] = defaultdict(set)
        """Keys of the EndpointSlices that lead to the gate, by their port there."""
        self.guards = GuardIndex(self._objects)
        self._tombstones: OrderedDict[str, int] = OrderedDict()
        """resourceVersion of each deletion, by uid: an older event must not add the object again."""
        self._former: OrderedDict[AppKey, FormerApp] = OrderedDict()
        """The last deleted App of each key."""
        self._first_seen: dict[AppKey, int] = {}
        """resourceVersion at which each cached row was first seen."""

    def update(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
        """Adds or updates an object; returns the Apps to reconcile, none if the cache has a newer version of it.

        An object of an unknown form is ignored: the cached one stays, and no other object is affected.
        """
        self._require_owner()
        key, version = key_of(raw), version_of(raw)
        uid = raw["metadata"].get("uid", "")
        if self._tombstones.get(uid, -1) >= version or self._objects[resource].version(key) >= version:
            return set()
        if resource is ROWS and (raw.get("status") or {}).get("phase") in CLOSED:
            return self.delete(resource, raw)
        try:
            kept = slim(resource, raw)
            places, affected = list(self._indexed(resource, kept)), self._affected_by(resource, kept)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            log.error("%s %s/%s has an unknown form, and is left out: %r", resource.kind, *key, error)  # noqa: TRY400 - no bug of ours
            return set()
        cached = self._objects[resource].pop(key)
        if resource is APPS and cached is not None and cached["metadata"].get("uid") != uid:
            self._note_former(key, cached)  # its deletion was missed
        is_same = resource is NAMESPACES and cached is not None and cached["metadata"]["labels"] == kept["metadata"]["labels"]
        first = self._first_seen.get(key) if cached is not None and cached["metadata"].get("uid") == uid else None
        affected_before = self._evict(resource, key, cached)
        self._objects[resource].put(kept)
        if resource is ROWS:
            self._first_seen[key] = version if first is None else first
        for index, at, entry in places:
            index[at].add(entry)
        return affected_before | affected if not is_same else set()

    def delete(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
        """Removes an object that was deleted, or that the selector no longer selects; returns the Apps to reconcile.

        A newer cached object stays: it was created under the same name, or selected again.
        """
        self._require_owner()
        key, version, uid = key_of(raw), version_of(raw), raw["metadata"].get("uid", "")
        self._tombstones[uid] = max(version, self._tombstones.get(uid, -1))
        if len(self._tombstones) > TOMBSTONES_MAX:
            self._tombstones.popitem(last=False)
        if resource is APPS:
            self._note_former(key, raw)
        objects = self._objects[resource]
        return self._evict(resource, key, objects.pop(key)) if objects.version(key) <= version else set()

    def retain(self, resource: ApiResource, listed: Set[AppKey], version: int, namespaces: frozenset[str] | None) -> set[AppKey]:
        """Drops the objects that a whole list lacks; returns the Apps to reconcile. An interrupted watch never reports their deletion.

        `version`: the list's resourceVersion. `namespaces`: those listed; None is all.
        """
        affected: set[AppKey] = set()
        objects = self._objects[resource]
        for key in list(objects):
            inside = namespaces is None or key[0] in namespaces or not resource.namespaced
            if inside and key not in listed and objects.version(key) <= version:
                affected |= self.delete(resource, objects[key])
        return affected

    def get(self, resource: ApiResource, namespace: str, name: str) -> Manifest | None:
        """Returns the cached object, or None."""
        return self._objects[resource].get((namespace, name))

    def version(self, resource: ApiResource, namespace: str, name: str) -> int:
        """Returns the resourceVersion of the cached object; -1 if it is missing."""
        return self._objects[resource].version((namespace, name))

    def app(self, app: AppKey) -> App | Unreadable | None:
        """Returns the cached App, parsed; None if it is missing."""
        raw = self.get(APPS, *app)
        return read(App, raw) if raw is not None else None

    def former(self, app: AppKey) -> FormerApp | None:
        """Returns the last App of this key that was deleted while this process watched, or None."""
        return self._former.get(app)

    def first_seen(self, row: Manifest) -> int:
        """Returns the resourceVersion at which a cached row was first seen. It is that of its creation if this process watched that."""
        return self._first_seen[key_of(row)]

    def of_app(self, app: AppKey) -> Iterator[tuple[ApiResource, Manifest]]:
        """Yields an App's rows, possibly very many, in no order; then its children, runs and pods by kind, namespace and name."""
        yield from ((ROWS, raw) for raw in self.rows_of(app))
        others = [entry for entry in self._by_app.get(app, ()) if entry[0] is not ROWS]
        for resource, key in sorted(others, key=lambda entry: (entry[0].kind, entry[1])):
            yield resource, self._objects[resource][key]

    def rows_of(self, app: AppKey) -> Iterator[Manifest]:
        """Yields an App's rows, possibly very many, in no order."""
        return (self._objects[ROWS][key] for resource, key in self._by_app.get(app, ()) if resource is ROWS)

    def routes_of(self, hostname: str) -> Iterator[Manifest]:
        """Returns the routes with our labels that have the hostname."""
        return (self._objects[resource][key] for resource, key in self._by_hostname.get(hostname, ()))

    def hostnames(self) -> list[str]:
        """Returns every hostname of routes with our labels."""
        return sorted(self._by_hostname)

    def versions(self, namespace: str, workflow: str) -> Iterator[Manifest]:
        """Returns the WorkflowVersions of a workflow."""
        return (self._objects[VERSIONS][key] for key in self._of_workflow.get((VERSIONS, (namespace, workflow)), ()))

    def runtimes(self) -> Iterator[Manifest]:
        """Returns every Runtime of the cluster."""
        return iter(self._objects[RUNTIMES].values())

    def policies(self) -> Iterator[Manifest]:
        """Returns every DeployPolicy, by name."""
        return (raw for _, raw in sorted(self._objects[DEPLOY_POLICIES].items()))

    def slices_of_gate(self) -> list[Manifest]:
        """Returns the EndpointSlices of the gate's own Service."""
        return [self._objects[SLICES][key] for key in sorted(self._of_gate.get(names.GATE_SERVICE, ()))]

    def gate_ports(self, *, but_of: AppKey) -> frozenset[int]:
        """Returns the ports at the gate of all other Apps."""
        own = self._with_slices.get(but_of, set())
        return frozenset(port for port, keys in self._at_gate.items() if keys - own)

    def apps(self) -> set[AppKey]:
        """Returns the keys of all Apps, and of missing Apps that a cached object names."""
        return set(self._objects[APPS]) | set(self._by_app)

    def _note_former(self, key: AppKey, raw: Manifest) -> None:
        """Keeps a deleted App as the last of its key, unless a later one is known."""
        deleted, known = FormerApp(raw["metadata"].get("uid", ""), version_of(raw)), self._former.pop(key, None)
        self._former[key] = known if known is not None and known.version > deleted.version else deleted
        if len(self._former) > TOMBSTONES_MAX:
            self._former.popitem(last=False)

    def _require_owner(self) -> None:
        """Raises RuntimeError in a thread that does not own the cache: half of an update must never be seen."""
        if threading.get_ident() != self._owner:
            raise RuntimeError("the cache is changed by a thread that does not own it")

    def _evict(self, resource: ApiResource, key: AppKey, cached: Manifest | None) -> set[AppKey]:
        """Removes an object that is no longer cached from the indexes; returns the Apps to reconcile."""
        if cached is None:
            return set()
        if resource is ROWS:
            self._first_seen.pop(key, None)
        affected = self._affected_by(resource, cached)
        for index, at, entry in self._indexed(resource, cached):
            index[at].discard(entry)
            if not index[at]:
                del index[at]
        return affected

    def _indexed(self, resource: ApiResource, raw: Manifest) -> Iterator[tuple[dict[Any, set[Any]], Any, Any]]:
        """Yields where an object is indexed: the index, the key in it, and the entry."""
        key = key_of(raw)
        yield from self.guards.places(resource, key, raw)
        if resource in (APPS, VERSIONS) and raw["spec"].get("workflow"):
            yield self._of_workflow, (resource, (key[0], raw["spec"]["workflow"])), key
        if resource in (VERSIONS, RUNTIMES, *GUARDS):
            return
        if resource in ROUTES:
            yield from ((self._by_hostname, host, (resource, key)) for host in hosts_of(raw))
        if resource is SLICES:
            yield from self._slice_indexed(key, raw)
        if self._is_of_gate(resource, raw):
            return
        for app in self._affected_by(resource, raw):
            yield self._by_app, app, (resource, key)
            if resource is ROWS and "pinned" not in raw["spec"]:
                yield self._unpinned, app, key

    def _slice_indexed(self, key: AppKey, raw: Manifest) -> Iterator[tuple[dict[Any, set[Any]], Any, Any]]:
        labels = raw["metadata"].get("labels") or {}
        if self._is_of_gate(SLICES, raw):
            yield self._of_gate, names.GATE_SERVICE, key
        elif app := labels.get(APP_LABEL):
            yield self._with_slices, (key[0], app), key
        if leads_to_gate(raw):
            yield from ((self._at_gate, port["port"], key) for port in raw.get("ports") or () if isinstance(port.get("port"), int))

    def _is_of_gate(self, resource: ApiResource, raw: Manifest) -> bool:
        """Returns True for an EndpointSlice of the gate's own Service. A Service of that name in another namespace does not count."""
        labels = raw["metadata"].get("labels") or {}
        is_named = resource is SLICES and labels.get(names.SERVICE_OF_SLICE_LABEL) == names.GATE_SERVICE
        return is_named and raw["metadata"].get("namespace", "") == self._gate_namespace

    def _affected_by(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
        """Returns the Apps whose plan an object may change."""
        namespace = raw["metadata"].get("namespace", "")
        if resource in GUARDS:
            return self.guards.affected_by(resource, raw)
        if self._is_of_gate(resource, raw):
            return set(self._with_slices)
        if resource is APPS:
            return {(namespace, raw["metadata"]["name"])}
        if resource is ROWS:
            return {(namespace, raw["spec"]["app"])}
        if resource in (PODS, JOBS, SLICES) or resource in CHILDREN:
            labels = raw["metadata"].get("labels") or {}
            app = labels.get(APP_LABEL)
            if app is None and resource is PODS:
                app = labels.get(FINISHING_OF_LABEL) or labels.get(TRIGGER_OF_LABEL) or labels.get(VERIFICATION_OF_LABEL)
            return {(namespace, app)} if app else set()
        if resource is VERSIONS:
            return set(self._of_workflow.get((APPS, (namespace, raw["spec"].get("workflow", ""))), ()))
        return {app for app in self._unpinned if app in self._objects[APPS]}
