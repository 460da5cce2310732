"""An index of objects by uid and by name: the metadata of namespaces and of our kinds, listed once and then watched.

It holds names and ids alone, and of rows what a history is ordered and filtered by (see `entries`), under this program's own account;
whatever is read of an object is read with the caller's token, and who filters a history by it has been asked whether they may list rows.
An id that is not here is no answer yet: another replica may have made the object a moment ago, so `find` catches up, under a bound, before
it says so. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, RECORDS, RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model.names import PROJECT_LABEL, natural, workflow_and_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.kube.client import ApiClient
from dynamiq_operator.rest.kube.entries import Accepts, Entry, Reader, accepted
from dynamiq_operator.rest.kube.groups import Groups

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
LISTED_MOST = 2_000
"""Objects up to which a list is quicker than a watch that hears of what it missed, and of more the watch is tried first: 60,000 rows are
listed in half a minute.
"""
HEARD_SECONDS = 3
"""The API server tells how far a watch is two seconds before it ends."""
RELIST_PAUSE_FACTOR = 4.0
"""After a relist for unknown ids none begins for this many times its duration, and for half of FIND_WITHIN at most: who asks then is answered."""
Listener = Callable[[Entry, bool], None]
"""Is told of an object that is new, changed or gone (True). Called with the index locked: it returns at once and asks the index nothing."""


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
        self._complete_to = 0
        """The resourceVersion up to which nothing is missing."""
        self.listed = threading.Event()
        self._relists_begun = self._relists_ended = 0
        self._is_relisting = False
        self._may_relist_at = 0.0
        self._failure: errors.ApiError | None = None
        self._listeners: list[Listener] = []
        self._shut_out_since: float | None = None

    @property
    def is_shut_out(self) -> bool:
        """Whether the API server answers, and has not taken this replica's credentials for a while. Each replica has a token of its own."""
        return (since := self._shut_out_since) is not None and time.monotonic() - since >= SHUT_OUT_AFTER

    def listen(self, listener: Listener) -> None:
        """Tells `listener` of every change from now on."""
        with self._changed:
            self._listeners.append(listener)

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

    def part(
        self, groups: Sequence[str], begin: int, size: int, *, newest_first: bool, accepts: Accepts | None = None
    ) -> tuple[list[Entry], int]:
        """Some of the members of several groups in one order, of those that `accepts` takes, and how many these are."""
        if accepts is not None:
            found = [entry for entry in self.members(groups, newest_first=newest_first) if accepts(entry)]
            return found[begin : begin + size], len(found)
        with self._changed:
            uids = self._groups.part(groups, begin, size, newest_first=newest_first)
            return [self._by_id[uid] for uid in uids], self._groups.count(groups)

    def count(self, groups: Sequence[str]) -> int:
        """How many members several groups have."""
        with self._changed:
            return self._groups.count(groups)

    def members(self, groups: Sequence[str], *, newest_first: bool) -> list[Entry]:
        """All members of several groups in one order. What is done with them is done by the caller, with nothing locked."""
        with self._changed:
            uids = self._groups.part(groups, 0, self._groups.count(groups), newest_first=newest_first)
            return [self._by_id[uid] for uid in uids]

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
        """Stores an object from a write of ours; an older version than the stored one is ignored."""
        self.add(Entry.of(self.resource, raw))

    def add(self, entry: Entry) -> None:
        """The same of an entry."""
        with self._changed:
            self._put(entry)
            self._changed.notify_all()

    def remove(self, uid: str) -> None:
        with self._changed:
            self._remove(uid)
            self._changed.notify_all()

    def relist(self) -> None:
        """Catches up with the API server, or waits for a time that began after the call and did. Raises errors.ApiError."""
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
        """Catches up once, with the condition released meanwhile: a list, unless a watch of many objects tells the same."""
        self._is_relisting = True
        self._relists_begun += 1
        number = self._relists_begun
        self._changed.release()
        began, has_heard = time.monotonic(), False
        failure: errors.ApiError | None = None
        try:
            if not (has_heard := self._hears_all()):
                self.list()
        except errors.Denied as error:
            # This program's own rights: the caller's may be as good as any.
            failure = errors.Unavailable(f"this API itself may not list {self.resource.plural} now: {error}")
        except errors.ApiError as error:
            failure = error
        finally:
            self._changed.acquire()
            ended = time.monotonic()
            if not has_heard:
                self._may_relist_at = ended + min(RELIST_PAUSE_FACTOR * (ended - began), FIND_WITHIN / 2)
            self._is_relisting, self._relists_ended, self._failure = False, number, failure
            self._changed.notify_all()

    def list(self) -> str:
        """Lists everything; returns the resourceVersion to watch from. Raises errors.ApiError."""
        found: list[Entry] = []
        version = ""
        reader = Reader(self.resource)
        for page in kube_api.pages(self._api, self.resource, accept=accepted(self.resource, kube_api.METADATA)):
            version = version or page["metadata"]["resourceVersion"]
            found += reader.read(page)
        with self._changed:
            self._replace(found, int(version))
            self._complete_to = max(self._complete_to, int(version))
        self.listed.set()
        return version

    def _hears_all(self) -> bool:
        """Whether a watch of a moment, from what is complete on, told all that the API server had at the call.

        It costs the same however many objects there are. False where they are few, and where the watch cannot tell.
        """
        begin = self._complete_to
        if len(self._by_id) <= LISTED_MOST or not begin:
            return False
        try:
            now = self._api.request("GET", self.resource.path(), query={"limit": 1}, accept=kube_api.METADATA)
            wanted = int(now["metadata"]["resourceVersion"])
            if self._complete_to >= wanted:
                return True
            with closing(self._events(str(begin), HEARD_SECONDS, 2.0 * HEARD_SECONDS)) as versions:
                return any(int(version) >= wanted for version in versions)
        except errors.ApiError as error:
            LOG.info("index of %s: a watch does not tell what is new, so everything is listed: %s", self.resource.plural, error)
        except Exception:
            LOG.exception("index of %s: everything is listed", self.resource.plural)
        return False

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
        try:
            for told in self._events(version, WATCH_SECONDS, SILENCE):
                version = told
        except errors.Unavailable as error:
            if error.status:
                raise
            LOG.info("watch of %s ended: %s", self.resource.plural, error)
        return version

    def _events(self, version: str, seconds: int, silence: float) -> Generator[str]:
        """Takes what a watch of so many seconds tells, and yields the resourceVersion up to which it has told all. Raises errors.ApiError."""
        query: dict[str, str | int] = {
            "watch": 1,
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": seconds,
        }
        accept, reader = accepted(self.resource, kube_api.METADATA_ONE), Reader(self.resource)
        with closing(self._api.stream(self.resource.path(), query, accept, silence, self._fed)) as events:
            for event in events:
                kind, raw = event["type"], event["object"]
                if kind == "ERROR":
                    raise errors.from_status(int(raw.get("code") or 500), str(raw.get("reason")), str(raw.get("message")))
                if kind == "BOOKMARK":
                    reader.columns(raw)
                else:
                    (entry,) = reader.read(raw)
                    if kind == "DELETED":
                        self.remove(entry.uid)
                    else:
                        self.add(entry)
                told = raw["metadata"]["resourceVersion"]
                with self._changed:
                    self._complete_to = max(self._complete_to, int(told))
                yield told

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
        for listener in self._listeners:
            listener(entry, False)

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
        for listener in self._listeners:
            listener(entry, True)


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
