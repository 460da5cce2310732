"""What the watches have seen, trimmed to what decisions need, and found again by App.

Own writes are put in as their answers come, so that the next decision sees them; an event that is older than what is here
is ignored. Contents are not kept: a flow only as its hash, computed here from its bytes.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator

from dynamiq_operator.desired.content import FLOW_KEY
from dynamiq_operator.kube.resources import APPS, CHILDREN, JOBS, PODS, RECORDS, RUNTIMES, VERSIONS, ApiResource
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.names import APP_LABEL, TRIGGER_OF_LABEL
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import CLOSED

AppKey = tuple[str, str]
"""Namespace and name of an App."""

HASH_OF_CONTENT = "contentHash"
TOMBSTONES = 10_000


class Store:
    """Objects by resource, namespace and name; not thread-safe, as everything in one event loop."""

    def __init__(self) -> None:
        self._objects: dict[ApiResource, dict[AppKey, Manifest]] = defaultdict(dict)
        self._by_app: dict[AppKey, set[tuple[ApiResource, AppKey]]] = defaultdict(set)
        self._gone: OrderedDict[str, int] = OrderedDict()

    def put(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
        """Takes in an object as it is now; returns the Apps that it may matter to, empty where it is old news."""
        key, version = _key(raw), _version(raw)
        known = self._objects[resource].get(key)
        uid = raw["metadata"].get("uid", "")
        if self._gone.get(uid, -1) >= version or (known is not None and _version(known) >= version):
            return set()
        if resource is RECORDS and (raw.get("status") or {}).get("phase") in CLOSED:
            return self.remove(resource, raw)
        trimmed = _trimmed(resource, raw)
        before = self._forget(resource, key)
        self._objects[resource][key] = trimmed
        for app in (touched := self._apps_of(resource, trimmed)):
            if resource not in (VERSIONS, RUNTIMES):
                self._by_app[app].add((resource, key))
        return before | touched

    def remove(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
        """Takes note that an object is gone, or has left the selection."""
        self._gone[raw["metadata"].get("uid", "")] = _version(raw)
        if len(self._gone) > TOMBSTONES:
            self._gone.popitem(last=False)
        return self._forget(resource, _key(raw)) | self._apps_of(resource, raw)

    def replace(self, resource: ApiResource, found: Iterable[Manifest], version: int, namespaces: frozenset[str] | None) -> set[AppKey]:
        """Takes in a whole list of `version`: what it lacks is gone, which a watch that was interrupted never says."""
        listed = {_key(raw): raw for raw in found}
        touched: set[AppKey] = set()
        for key, known in list(self._objects[resource].items()):
            inside = namespaces is None or key[0] in namespaces or not resource.namespaced
            if inside and key not in listed and _version(known) <= version:
                touched |= self.remove(resource, known)
        for raw in listed.values():
            touched |= self.put(resource, raw)
        return touched

    def get(self, resource: ApiResource, namespace: str, name: str) -> Manifest | None:
        return self._objects[resource].get((namespace, name))

    def of_app(self, app: AppKey) -> Iterator[tuple[ApiResource, Manifest]]:
        """Records, children and pods of an App."""
        for resource, key in sorted(self._by_app.get(app, ()), key=lambda entry: (entry[0].kind, entry[1])):
            yield resource, self._objects[resource][key]

    def versions(self, namespace: str, workflow: str) -> Iterator[Manifest]:
        """Releases of a workflow."""
        return (
            raw for (where, _), raw in self._objects[VERSIONS].items() if where == namespace and raw["spec"].get("workflow") == workflow
        )

    def runtimes(self) -> Iterator[Manifest]:
        return iter(self._objects[RUNTIMES].values())

    def apps(self) -> set[AppKey]:
        """Every App, and the name of every missing App that a record waits for."""
        return set(self._objects[APPS]) | set(self._by_app)

    def _forget(self, resource: ApiResource, key: AppKey) -> set[AppKey]:
        known = self._objects[resource].pop(key, None)
        if known is None:
            return set()
        touched = self._apps_of(resource, known)
        for app in touched:
            self._by_app[app].discard((resource, key))
            if not self._by_app[app]:
                del self._by_app[app]
        return touched

    def _apps_of(self, resource: ApiResource, raw: Manifest) -> set[AppKey]:
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
            return {app for app, spec in self._specs() if app[0] == namespace and spec.get("workflow") == raw["spec"].get("workflow")}
        return {app for app, _ in self._specs() if self._waits(app)}

    def _specs(self) -> Iterator[tuple[AppKey, Manifest]]:
        return ((app, raw["spec"]) for app, raw in self._objects[APPS].items())

    def _waits(self, app: AppKey) -> bool:
        return any(
            resource is RECORDS and "pinned" not in self._objects[resource][key]["spec"] for resource, key in self._by_app.get(app, ())
        )


def _key(raw: Manifest) -> AppKey:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def _version(raw: Manifest) -> int:
    return int(raw["metadata"].get("resourceVersion") or 0)


def _trimmed(resource: ApiResource, raw: Manifest) -> Manifest:
    if resource is VERSIONS:
        spec = {key: value for key, value in raw["spec"].items() if key != "flow"}
        return {**raw, "spec": spec, HASH_OF_CONTENT: flow_hash(raw["spec"].get("flow", ""))}
    if resource.kind == "ConfigMap":
        return {**raw, "data": {}, HASH_OF_CONTENT: flow_hash((raw.get("data") or {}).get(FLOW_KEY, ""))}
    if resource is PODS:
        calls = TRIGGER_OF_LABEL in (raw["metadata"].get("labels") or {})  # its containers carry the whole input
        containers = [] if calls else raw["spec"]["containers"]
        return {"metadata": _without_fields(raw), "spec": {"containers": containers}, "status": raw.get("status") or {}}
    if resource is JOBS:
        return {**raw, "metadata": _without_fields(raw), "spec": {}}
    return raw


def _without_fields(raw: Manifest) -> Manifest:
    return {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
