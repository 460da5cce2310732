"""An index of objects by uid and by name: the metadata of namespaces and of our kinds, listed once and then watched.

It holds names and ids alone, and of rows their App, their sequence and whether they have ended, under this program's own account; whatever is read of an object is read with the caller's token.
An id that is not here is no answer yet: another replica may have made the object a moment ago, so `find` lists once more, under a
bound, before it says so. Thread-safe.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, RECORDS, RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model.names import PROJECT_LABEL, natural, workflow_and_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import CLOSED
from dynamiq_operator.rest.kube.client import ApiClient
from dynamiq_operator.rest.kube.groups import Groups, Member

LOG = logging.getLogger(__name__)
WATCH_SECONDS = 280
SILENCE = 330.0
"""Seconds. A watch that sends nothing for longer than the API server lets it live is dead."""
PAUSE_MOST = 5.0
"""Most seconds between two retries: so long the index stays stale after an API server is back."""
INDEXED = (NAMESPACES, APPS, RECORDS, WORKFLOWS, VERSIONS, RUNTIMES)
SHUT_OUT_AFTER = 15.0
"""Seconds for which the API server may not take this replica's credentials before it says that it is not ready."""
GONE_KEPT = 10_000
WAITING_MOST = 48
"""Most requests that wait at once for a relist that may have their id."""
FIND_WITHIN = 10.0  # seconds
HEARD_WITHIN = 0.5
"""Seconds in which a change is heard of, where the watch goes on."""
RELIST_PAUSE_FACTOR = 4.0
"""After a relist for unknown ids none begins for this many times its duration."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. `labels` are a namespace's.

    `group` is what it is found by with others: for a row its App's uid, see `owned_by`, once the operator has numbered it and set the
    App as its owner, and before that the namespace and name of the App; for a version the namespace and name of its workflow.
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
    sequence: int = 0
    is_closed: bool = False
    """Whether a row has ended for good: nothing but its metadata changes any more."""

    @property
    def member(self) -> Member:
        """Its place in its group: rows without a sequence are newer than all that have one."""
        return Member((self.sequence,) if self.sequence else (math.inf, self.created, self.first, natural(self.name)), self.uid)

    @classmethod
    def of(cls, resource: ApiResource, raw: Manifest) -> Entry:
        meta = raw["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        group, sequence, is_closed = "", 0, False
        if resource.kind == RECORDS.kind:
            spec = raw["spec"]
            owners = (owned_by(namespace, each["uid"]) for each in meta.get("ownerReferences") or () if each.get("kind") == APPS.kind)
            group = next(owners, f"{namespace}/{spec['app']}")
            sequence, is_closed = spec.get("sequence") or 0, (raw.get("status") or {}).get("phase") in CLOSED
        elif resource.kind == VERSIONS.kind:
            group = f"{namespace}/{workflow_and_version(name)[0]}"
        labels = (meta.get("labels") or {}) if resource.kind == NAMESPACES.kind else {}
        created = meta.get("creationTimestamp") or ""
        version = int(meta.get("resourceVersion") or 0)
        return cls(sys.intern(namespace), name, meta["uid"], version, created, sys.intern(group), labels, version, sequence, is_closed)


class KindIndex:
    """The objects of one resource, by uid and by name, and the list and watch that keep them up to date. Thread-safe."""

    def __init__(self, resource: ApiResource, api: ApiClient) -> None:
        # Without the field selector that the operator watches with: closed rows have ids, too.
        self.resource, self._api = resource, api
        self._changed = threading.Condition()
        self._by_id: dict[str, Entry] = {}
        self._by_name: dict[tuple[str, str], Entry] = {}
        self._groups = Groups()
        self._counts: Counter[str] = Counter()
        self._gone: dict[str, None] = {}
        self.listed = threading.Event()
        self._relists_begun = self._relists_ended = 0
        self._is_relisting = False
        self._may_relist_at = 0.0
        self._failure: errors.ApiError | None = None
        self._shut_out_since: float | None = None

    @property
    def is_shut_out(self) -> bool:
        """Whether the API server answers, and has not taken this replica's credentials for a while. Each replica has a token of its own."""
        return (since := self._shut_out_since) is not None and time.monotonic() - since >= SHUT_OUT_AFTER

    def get(self, uid: str) -> Entry | None:
        return self._by_id.get(uid)

    def named(self, namespace: str, name: str) -> Entry | None:
        return self._by_name.get((namespace, name))

    def all(self) -> list[Entry]:
        with self._changed:
            return list(self._by_id.values())

    def group(self, group: str) -> list[Entry]:
        with self._changed:
            return [self._by_id[uid] for uid in self._groups.uids(group)]

    def newest(self, group: str) -> Entry | None:
        """The newest of a group."""
        with self._changed:
            uid = self._groups.newest(group)
            return self._by_id[uid] if uid else None

    def part(self, groups: Sequence[str], begin: int, size: int, *, newest_first: bool) -> tuple[list[Entry], int]:
        """Some of the members of several groups in one order, and how many there are."""
        with self._changed:
            uids = self._groups.part(groups, begin, size, newest_first=newest_first)
            return [self._by_id[uid] for uid in uids], self._groups.count(groups)

    def catch_up(self, namespace: str, count: int) -> None:
        """Waits until the index has as many objects of a namespace as there were at the call; relists where it does not hear of them.

        Raises errors.ApiError.
        """
        with self._changed:
            is_behind = self._counts[namespace] < count

            def is_there() -> bool:
                there = self._counts[namespace]
                return there >= count if is_behind else there <= count

            if self._changed.wait_for(is_there, HEARD_WITHIN):
                return
        self.relist()

    def put(self, raw: Manifest) -> None:
        """Stores an object from a watch event or from a write of ours; an older version than the stored one is ignored."""
        with self._changed:
            self._put(Entry.of(self.resource, raw))
            self._changed.notify_all()

    def remove(self, uid: str) -> None:
        with self._changed:
            self._remove(uid)
            self._changed.notify_all()

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
        except errors.Denied as error:
            # This program's own rights: the caller's may be as good as any.
            failure = errors.Unavailable(f"this API itself may not list {self.resource.plural} now: {error}")
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
        for page in kube_api.pages(self._api, self.resource, accept=_accepted(self.resource, kube_api.METADATA)):
            version = version or page["metadata"]["resourceVersion"]
            items = _rows(page, _columns(page)) if self.resource.kind == RECORDS.kind else page["items"] or ()
            found += [Entry.of(self.resource, item) for item in items]
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
                if error.status == 401:
                    self._shut_out_since = self._shut_out_since or time.monotonic()
                LOG.warning("index of %s: %s", self.resource.plural, error)
            except Exception:
                failures, version = failures + 1, ""
                LOG.exception("index of %s", self.resource.plural)
            if failures:
                ends.wait(min(errors.backoff(failures), PAUSE_MOST))

    def _watch(self, version: str) -> str:
        """Consumes one watch until it ends; returns the resourceVersion to watch from next. Raises errors.ApiError."""
        query: dict[str, str | int] = {
            "watch": 1,
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        accept = _accepted(self.resource, kube_api.METADATA_ONE)
        columns: tuple[str, ...] = ()
        try:
            for event in self._api.stream(self.resource.path(), query, accept, SILENCE, self._fed):
                kind, raw = event["type"], event["object"]
                if kind == "ERROR":
                    raise errors.from_status(int(raw.get("code") or 500), str(raw.get("reason")), str(raw.get("message")))
                version = raw["metadata"]["resourceVersion"]
                # Only the first event of a watch of tables has the names of the columns, and where nothing changes that is a bookmark.
                columns = _columns(raw) or columns
                if kind == "BOOKMARK":
                    continue
                if self.resource.kind == RECORDS.kind:
                    (raw,) = _rows(raw, columns)
                if kind == "DELETED":
                    self.remove(raw["metadata"]["uid"])
                else:
                    self.put(raw)
        except errors.Unavailable as error:
            if error.status:
                raise
            LOG.info("watch of %s ended: %s", self.resource.plural, error)
        return version

    def _fed(self) -> None:
        self._shut_out_since = None

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
            self._groups.discard(known.group, known.member)
        else:
            self._counts[entry.namespace] += 1
        self._by_id[entry.uid] = entry
        key = (entry.namespace, entry.name)
        if (named := self._by_name.get(key)) is None or named.version <= entry.version:
            self._by_name[key] = entry
        if entry.group:
            self._groups.add(entry.group, entry.member)

    def _remove(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > GONE_KEPT:
            del self._gone[next(iter(self._gone))]
        if (entry := self._by_id.pop(uid, None)) is None:
            return
        self._counts[entry.namespace] -= 1
        if not self._counts[entry.namespace]:
            del self._counts[entry.namespace]
        if self._by_name.get((entry.namespace, entry.name)) is entry:
            del self._by_name[(entry.namespace, entry.name)]
        self._groups.discard(entry.group, entry.member)


def owned_by(namespace: str, app_uid: str) -> str:
    """The group of an App's rows: an owner in another namespace is none, whatever a row says."""
    return f"{namespace} {app_uid}"


def _accepted(resource: ApiResource, metadata: str) -> str:
    """What is asked for: metadata, and of rows what `kubectl get` prints, since their order and their end are in no metadata."""
    return kube_api.TABLE if resource.kind == RECORDS.kind else metadata


def _columns(table: Manifest) -> tuple[str, ...]:
    return tuple(column["name"].upper() for column in table.get("columnDefinitions") or ())


def _rows(table: Manifest, columns: tuple[str, ...]) -> Iterator[Manifest]:
    """The rows of a table, as far as they are kept here."""
    for row in table["rows"] or ():
        cells = dict(zip(columns, row["cells"], strict=True))
        spec = {"app": cells["APP"], "sequence": cells["SEQ"]}
        yield {"metadata": row["object"]["metadata"], "spec": spec, "status": {"phase": cells["STATUS"]}}


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

    @property
    def is_shut_out(self) -> bool:
        """Whether the API server has not taken this replica's credentials for a while."""
        return any(kind.is_shut_out for kind in self._kinds.values())

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
