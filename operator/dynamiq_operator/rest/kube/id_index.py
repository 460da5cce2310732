"""An index of objects by uid and by name: the metadata of namespaces and of our kinds, listed once and then watched.

It holds names and ids alone, under this program's own account; whatever is read of an object is read with the caller's token.
An id that is not here is no answer yet: another replica may have made the object a moment ago, so `find` lists once more, under a
bound, before it says so. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, RECORDS, RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model.names import PROJECT_LABEL, natural, workflow_and_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.kube.client import ApiClient

LOG = logging.getLogger(__name__)
WATCH_SECONDS = 280
SILENCE = 330.0
"""Seconds. A watch that sends nothing for longer than the API server lets it live is dead."""
PAUSE_MOST = 5.0
"""Most seconds between two retries: so long the index stays stale after an API server is back."""
INDEXED = (NAMESPACES, APPS, RECORDS, WORKFLOWS, VERSIONS, RUNTIMES)
UNFED_AFTER = 15.0
"""Seconds for which a list or a watch may fail, again and again, before a replica says that it is not ready."""
GONE_KEPT = 10_000
WAITING_MOST = 16
"""Most requests that wait at once for a relist that may have their id."""
FIND_WITHIN = 10.0  # seconds
RELIST_PAUSE_FACTOR = 4.0
"""After a relist for unknown ids none begins for this many times its duration."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. `labels` are a namespace's.

    `group` is what it is found by with others: for a row the uid of its App, once the operator has numbered it and set the
    App as its owner; for a version the namespace and name of its workflow.
    """

    namespace: str
    name: str
    uid: str
    version: int
    created: str
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    first: int = 0
    """The first resourceVersion observed: of two objects created in one second, the lower one is the older object."""

    @classmethod
    def of(cls, resource: ApiResource, raw: Manifest) -> Entry:
        meta = raw["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        group = ""
        if resource.kind == RECORDS.kind:
            group = next((each["uid"] for each in meta.get("ownerReferences") or () if each.get("kind") == APPS.kind), "")
        elif resource.kind == VERSIONS.kind:
            group = f"{namespace}/{workflow_and_version(name)[0]}"
        labels = (meta.get("labels") or {}) if resource.kind == NAMESPACES.kind else {}
        created = meta.get("creationTimestamp") or ""
        version = int(meta.get("resourceVersion") or 0)
        return cls(namespace, name, meta["uid"], version, created, group, labels, version)


class KindIndex:
    """The objects of one resource, by uid and by name, and the list and watch that keep them up to date. Thread-safe."""

    def __init__(self, resource: ApiResource, api: ApiClient) -> None:
        # Without the field selector that the operator watches with: closed rows have ids, too.
        self.resource, self._api = resource, api
        self._changed = threading.Condition()
        self._by_id: dict[str, Entry] = {}
        self._by_name: dict[tuple[str, str], Entry] = {}
        self._by_group: dict[str, dict[str, Entry]] = {}
        self._gone: dict[str, None] = {}
        self.listed = threading.Event()
        self._relists_begun = self._relists_ended = 0
        self._is_relisting = False
        self._may_relist_at = 0.0
        self._failure: errors.ApiError | None = None
        self._failing_since: float | None = None

    @property
    def is_fed(self) -> bool:
        """Whether what happens is heard of here, or was until `UNFED_AFTER` seconds ago."""
        return (since := self._failing_since) is None or time.monotonic() - since < UNFED_AFTER

    def get(self, uid: str) -> Entry | None:
        return self._by_id.get(uid)

    def named(self, namespace: str, name: str) -> Entry | None:
        return self._by_name.get((namespace, name))

    def all(self) -> list[Entry]:
        with self._changed:
            return list(self._by_id.values())

    def group(self, group: str) -> list[Entry]:
        with self._changed:
            return list(self._by_group.get(group, {}).values())

    def put(self, raw: Manifest) -> None:
        """Stores an object from a watch event or from a write of ours; an older version than the stored one is ignored."""
        with self._changed:
            self._put(Entry.of(self.resource, raw))

    def remove(self, uid: str) -> None:
        with self._changed:
            self._remove(uid)

    def relist(self) -> None:
        """Relists, or waits for a relist that began after the call. Raises errors.ApiError."""
        deadline = time.monotonic() + FIND_WITHIN
        with self._changed:
            mine = self._relists_begun + 1
            while self._relists_ended < mine:
                now = time.monotonic()
                if now > deadline:
                    raise errors.Unavailable("too many unknown ids are looked for at this moment")
                if self._is_relisting or now < self._may_relist_at:
                    self._changed.wait(
                        min(deadline - now, max(self._may_relist_at - now, 0.01)) if not self._is_relisting else deadline - now
                    )
                    continue
                self._relist()
            if self._failure is not None:
                raise self._failure

    def _relist(self) -> None:
        """One relist, with the condition released meanwhile."""
        self._is_relisting = True
        self._relists_begun += 1
        number = self._relists_begun
        self._changed.release()
        began = time.monotonic()
        failure: errors.ApiError | None = None
        try:
            self.list()
        except errors.ApiError as error:
            failure = error
        finally:
            self._changed.acquire()
            ended = time.monotonic()
            self._may_relist_at = ended + RELIST_PAUSE_FACTOR * (ended - began)
            self._is_relisting, self._relists_ended, self._failure = False, number, failure
            self._changed.notify_all()

    def list(self) -> str:
        """Lists everything; returns the resourceVersion to watch from. Raises errors.ApiError."""
        found: list[Entry] = []
        version = ""
        for page in kube_api.pages(self._api, self.resource, accept=kube_api.METADATA):
            version = version or page["metadata"]["resourceVersion"]
            found += [Entry.of(self.resource, item) for item in page["items"] or ()]
        with self._changed:
            self._replace(found, int(version))
        self.listed.set()
        return version

    def keep(self, ends: threading.Event) -> None:
        """Lists and watches until `ends` is set. An error, or a watch without events, is retried with backoff."""
        failures, version = 0, ""
        while not ends.is_set():
            try:
                began = version or self.list()
                version = self._watch(began)
                failures = failures + 1 if version == began else 0
            except errors.ApiError as error:
                failures += 1
                if error.status in (400, 410):
                    version = ""
                LOG.warning("index of %s: %s", self.resource.plural, error)
            except Exception:
                failures, version = failures + 1, ""
                LOG.exception("index of %s", self.resource.plural)
            if failures:
                self._failing_since = self._failing_since or time.monotonic()
                ends.wait(min(errors.backoff(failures), PAUSE_MOST))

    def _watch(self, version: str) -> str:
        """Consumes one watch until it ends; returns the resourceVersion to watch from next. Raises errors.ApiError."""
        query: dict[str, str | int] = {
            "watch": 1,
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        try:
            for event in self._api.stream(self.resource.path(), query, kube_api.METADATA_ONE, SILENCE, self._fed):
                kind, raw = event["type"], event["object"]
                if kind == "ERROR":
                    raise errors.from_status(int(raw.get("code") or 500), str(raw.get("reason")), str(raw.get("message")))
                version = raw["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    self.remove(raw["metadata"]["uid"])
                elif kind != "BOOKMARK":
                    self.put(raw)
        except errors.Unavailable as error:
            if error.status:
                raise
            LOG.info("watch of %s ended: %s", self.resource.plural, error)
        return version

    def _fed(self) -> None:
        self._failing_since = None

    def _replace(self, found: Iterable[Entry], version: int) -> None:
        listed = {entry.uid: entry for entry in found}
        for entry in [entry for entry in self._by_id.values() if entry.uid not in listed and entry.version <= version]:
            self._remove(entry.uid)
        for entry in listed.values():
            self._put(entry)

    def _put(self, entry: Entry) -> None:
        known = self._by_id.get(entry.uid)
        if entry.uid in self._gone or (known is not None and known.version >= entry.version):
            return
        if known is not None:
            entry = replace(entry, first=known.first)
        self._by_id[entry.uid] = entry
        key = (entry.namespace, entry.name)
        if (named := self._by_name.get(key)) is None or named.version <= entry.version:
            self._by_name[key] = entry
        if entry.group:
            self._by_group.setdefault(entry.group, {})[entry.uid] = entry

    def _remove(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > GONE_KEPT:
            del self._gone[next(iter(self._gone))]
        if (entry := self._by_id.pop(uid, None)) is None:
            return
        if self._by_name.get((entry.namespace, entry.name)) is entry:
            del self._by_name[(entry.namespace, entry.name)]
        if entry.group and (members := self._by_group.get(entry.group)) is not None:
            members.pop(uid, None)
            if not members:
                del self._by_group[entry.group]


class IdIndex:
    """The indexes of all kinds, and the threads that keep them."""

    def __init__(self, api: ApiClient) -> None:
        self._kinds = {resource.kind: KindIndex(resource, api) for resource in _whole(INDEXED)}
        self._ends = threading.Event()
        self._waiting = threading.BoundedSemaphore(WAITING_MOST)

    def start(self) -> None:
        for kind in self._kinds.values():
            threading.Thread(target=kind.keep, args=(self._ends,), daemon=True, name=f"index-{kind.resource.plural}").start()

    def stop(self) -> None:
        self._ends.set()

    @property
    def is_ready(self) -> bool:
        """Whether every kind has been listed once."""
        return all(kind.listed.is_set() for kind in self._kinds.values())

    def unfed(self) -> str | None:
        """A kind whose lists and watches fail, and have failed for a while; None where there is none."""
        return next((kind.resource.plural for kind in self._kinds.values() if not kind.is_fed), None)

    def of(self, resource: ApiResource) -> KindIndex:
        return self._kinds[resource.kind]

    def versions(self, namespace: str, workflow: str) -> list[str]:
        """The releases of a workflow, such as `v3`: a WorkflowVersion is named `<workflow>-<version>`."""
        return [workflow_and_version(entry.name)[1] for entry in self.of(VERSIONS).group(f"{namespace}/{workflow}")]

    def places_of(self, row: str, namespace: str) -> set[str]:
        """The namespaces that may hold a row of this name: those where the index has it, and all of the project of `namespace`, since the
        index may lag.
        """
        every, rows = self.of(NAMESPACES).all(), self.of(RECORDS)
        project = next((each.labels.get(PROJECT_LABEL) for each in every if each.name == namespace), None)
        return {
            each.name for each in every if (project and each.labels.get(PROJECT_LABEL) == project) or rows.named(each.name, row) is not None
        }

    def find(self, resource: ApiResource, uid: str) -> Entry | None:
        """The object of an id; None where a relist that began after the call does not have it either. Raises errors.ApiError."""
        kind = self.of(resource)
        if (found := kind.get(uid)) is not None:
            return found
        if not self._waiting.acquire(blocking=False):
            raise errors.Unavailable("too many unknown ids are looked for at this moment")
        try:
            kind.relist()
        finally:
            self._waiting.release()
        return kind.get(uid)


def _whole(resources: Iterable[ApiResource]) -> Iterable[ApiResource]:
    """The resources without the selectors that the operator watches with."""
    return (ApiResource(each.group, each.version, each.plural, each.kind, each.namespaced) for each in resources)


def newest_of(versions: Sequence[str]) -> str | None:
    """The newest of versions such as `v2` and `v10`."""
    return max(versions, key=natural, default=None)
