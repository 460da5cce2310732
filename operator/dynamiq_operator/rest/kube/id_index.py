"""Indexes objects by uid and by name: the metadata of namespaces and of our kinds, listed once and then watched. Thread-safe.

It has only names and ids, and for rows the values that order and filter a history (see `entries`), read by this program's own account.
Everything else of an object is read with the caller's token, but for ended rows (see `deployments.long_histories`). Only callers who may
list rows may filter a history. A missing id is no answer yet: another replica may have made the object a moment ago. Therefore `find`
catches up, within a limit, before it returns None.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing

import msgspec

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.kube.watching import SHARES, WatchState
from dynamiq_operator.model.names import PROJECT_LABEL, natural, workflow_and_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.kube.client import ApiClient
from dynamiq_operator.rest.kube.entries import Accepts, Entry, Reader, accepted
from dynamiq_operator.rest.kube.groups import Groups

LOG = logging.getLogger(__name__)
WATCH_SECONDS = 280
SILENCE = 330.0
"""Seconds. A watch that is silent for longer than the API server lets it live is dead."""
INDEXED = (NAMESPACES, APPS, ROWS, WORKFLOWS, VERSIONS, RUNTIMES)
REJECTED_AFTER = 15.0
"""Seconds for which the API server may reject this replica's credentials before the replica reports that it is not ready."""
DELETED_KEPT = 10_000
WAITING_MOST = 48
"""Requests that wait at once for a relist that may have their id, at most."""
FIND_WITHIN = 10.0  # seconds
REPORTED_WITHIN = 0.5
"""Seconds within which a working watch reports a change."""
LISTED_MOST = 2_000
"""Objects up to which a list is quicker than a watch of what was missed. A list of 60,000 rows takes half a minute."""
CATCH_UP_SECONDS = 3
"""Seconds of a watch that catches up. The API server reports how far a watch is two seconds before it ends."""
RELIST_PAUSE_FACTOR = 4.0
"""The pause after a relist for unknown ids, in multiples of its duration: half of FIND_WITHIN at most, so that requests get an answer."""
Listener = Callable[[Entry, bool], None]
"""A callback for an object that is new, changed or deleted (True). The index is locked: it returns at once, and queries nothing."""


class KindIndex:
    """The objects of one resource, by uid and by name, and the list and watch that keep them up to date. Thread-safe."""

    def __init__(self, resource: ApiResource, api: ApiClient) -> None:
        # Without the field selector that the operator watches with: closed rows have ids, too.
        self.resource, self._api = resource, api
        self._changed = threading.Condition()
        self._by_id: dict[str, Entry] = {}
        self._by_name: dict[str, dict[str, Entry]] = {}
        """Names by namespace. A key of both would be a tuple for each object, which takes as much memory as its entry."""
        self._groups = Groups()
        self._counts: Counter[str] = Counter()
        self._deleted: dict[str, None] = {}
        self._complete_to = 0
        """The resourceVersion up to which nothing is missing."""
        self.listed = threading.Event()
        self._relists_begun = self._relists_ended = 0
        self._is_relisting = False
        self._may_relist_at = 0.0
        self._failure: errors.ApiError | None = None
        self._listeners: list[Listener] = []
        self._rejected_since: float | None = None

    @property
    def is_rejected(self) -> bool:
        """True if the API server answers, but has rejected this replica's credentials for a while. Each replica has its own token."""
        return (since := self._rejected_since) is not None and time.monotonic() - since >= REJECTED_AFTER

    def listen(self, listener: Listener) -> None:
        """Calls `listener` for every change from now on."""
        with self._changed:
            self._listeners.append(listener)

    def get(self, uid: str) -> Entry | None:
        return self._by_id.get(uid)

    def named(self, namespace: str, name: str) -> Entry | None:
        return self._by_name.get(namespace, {}).get(name)

    def all(self) -> list[Entry]:
        with self._changed:
            return list(self._by_id.values())

    def namespaces(self) -> list[str]:
        """Returns the namespaces that have such objects, sorted."""
        return sorted(self._counts)

    def group(self, group: str) -> list[Entry]:
        with self._changed:
            return self._groups.members(group)

    def newest(self, group: str) -> Entry | None:
        """Returns the newest object of a group; None if the group is empty."""
        with self._changed:
            return self._groups.newest(group)

    def part(
        self, groups: Sequence[str], begin: int, size: int, *, newest_first: bool, accepts: Accepts | None = None
    ) -> tuple[list[Entry], int]:
        """Returns some of the members of several groups in one order, only those that `accepts` accepts, and how many these are in all."""
        if accepts is not None:
            matches = [entry for entry in self.members(groups, newest_first=newest_first) if accepts(entry)]
            return matches[begin : begin + size], len(matches)
        with self._changed:
            return list(self._groups.part(groups, begin, size, newest_first=newest_first)), self._groups.count(groups)

    def open(self, groups: Sequence[str]) -> list[Entry]:
        """Returns the members of several groups that have not ended for good. It takes the same time in any history."""
        with self._changed:
            return self._groups.open(groups)

    def count(self, groups: Sequence[str]) -> int:
        """Returns how many members several groups have."""
        with self._changed:
            return self._groups.count(groups)

    def members(self, groups: Sequence[str], *, newest_first: bool) -> list[Entry]:
        """Returns all members of several groups in one order. The caller uses them with nothing locked."""
        with self._changed:
            return list(self._groups.part(groups, 0, self._groups.count(groups), newest_first=newest_first))

    def catch_up(self, namespace: str, count: int) -> None:
        """Waits until the index has as many objects of a namespace as there were at the call; relists if it does not get them.

        `namespace`: empty for all. Raises errors.ApiError.
        """

        def known() -> int:
            return self._counts[namespace] if namespace else len(self._by_id)

        with self._changed:
            sign = 1 if known() < count else -1
            if self._changed.wait_for(lambda: sign * (known() - count) >= 0, REPORTED_WITHIN):
                return
        self.relist()

    def put(self, raw: Manifest) -> None:
        """Stores an object that this process wrote. A version older than the stored one is ignored."""
        self.add(Entry.of(self.resource, raw))

    def add(self, entry: Entry) -> None:
        """Stores an entry, as `put` does."""
        with self._changed:
            self._put(entry)
            self._changed.notify_all()

    def remove(self, uid: str) -> None:
        with self._changed:
            self._remove(uid)
            self._changed.notify_all()

    def relist(self) -> None:
        """Catches up with the API server, or waits until another call that began later has done so. Raises errors.ApiError."""
        deadline = time.monotonic() + FIND_WITHIN
        with self._changed:
            mine = self._relists_begun + 1
            while self._relists_ended < mine:
                now = time.monotonic()
                if now > deadline:
                    raise errors.Unavailable("too many unknown ids are being searched now")
                if self._is_relisting or now < self._may_relist_at:
                    self._changed.wait(
                        min(deadline - now, max(self._may_relist_at - now, 0.01)) if not self._is_relisting else deadline - now
                    )
                    continue
                self._relist()
            if self._failure is not None:
                raise self._failure

    def _relist(self) -> None:
        """Catches up once, with the condition released meanwhile: by a list, unless a watch of many objects suffices."""
        self._is_relisting = True
        self._relists_begun += 1
        number = self._relists_begun
        self._changed.release()
        began, is_caught_up = time.monotonic(), False
        failure: errors.ApiError | None = None
        try:
            if not (is_caught_up := self._catches_up_by_watch()):
                self.list()
        except errors.Denied as error:
            # This program lacks the right, and the caller may have it.
            failure = errors.Unavailable(f"this API itself may not list {self.resource.plural} now: {error}")
        except errors.ApiError as error:
            failure = error
        finally:
            self._changed.acquire()
            ended = time.monotonic()
            if not is_caught_up:
                self._may_relist_at = ended + min(RELIST_PAUSE_FACTOR * (ended - began), FIND_WITHIN / 2)
            self._is_relisting, self._relists_ended, self._failure = False, number, failure
            self._changed.notify_all()

    def list(self) -> str:
        """Lists everything; returns the resourceVersion to watch from. Raises errors.ApiError."""
        entries: list[Entry] = []
        version = ""
        for page_version, page in Reader(self.resource).pages(self._api):
            version = version or page_version
            entries += page
        with self._changed:
            self._replace(entries, int(version))
            self._complete_to = max(self._complete_to, int(version))
        self.listed.set()
        return version

    def _catches_up_by_watch(self) -> bool:
        """Returns True if a short watch, from what is complete on, reported all that the API server had at the call.

        It costs the same however many objects there are. It returns False if they are few, or if the watch cannot decide that.
        """
        begin = self._complete_to
        if len(self._by_id) <= LISTED_MOST or not begin:
            return False
        try:
            now = self._api.request("GET", self.resource.path(), query={"limit": 1}, accept=kube_api.METADATA)
            target = int(now["metadata"]["resourceVersion"])
            if self._complete_to >= target:
                return True
            state = self._state(CATCH_UP_SECONDS)
            state.version = str(begin)
            state.begin(time.monotonic())
            with closing(self._events(state, 2.0 * CATCH_UP_SECONDS)) as versions:
                return any(int(version) >= target for version in versions)
        except errors.ApiError as error:
            LOG.info("index of %s: a watch does not tell what is new, so everything is listed: %s", self.resource.plural, error)
        except Exception:
            LOG.exception("index of %s: everything is listed", self.resource.plural)
        return False

    def run(self, ends: threading.Event) -> None:
        """Lists and watches until `ends` is set. After an error it tries again with backoff."""
        state = self._state(WATCH_SECONDS)
        while not ends.wait(state.wait(time.monotonic(), random.uniform(*SHARES))):  # noqa: S311
            state.begin(time.monotonic())
            try:
                if state.version:
                    deque(self._events(state, SILENCE), maxlen=0)
                else:
                    state.version = self.list()
            except errors.ApiError as error:
                if error.status == 401:
                    self._rejected_since = self._rejected_since or time.monotonic()
                state.failed(error, time.monotonic())
            except Exception as error:
                LOG.exception("index of %s", self.resource.plural)
                state.failed(error, time.monotonic())

    def _state(self, lasts: int) -> WatchState:
        return WatchState(self.resource, lasts=lasts, is_costly=True)

    def _events(self, state: WatchState, silence: float) -> Generator[str]:
        """Applies the events of a watch; yields the resourceVersion up to which it is complete. Raises errors.ApiError."""
        accept, reader = accepted(self.resource, kube_api.METADATA_ONE), Reader(self.resource)
        with closing(self._api.stream(state.path, state.query(), accept, silence, self._on_opened)) as events:
            for event in map(state.check, events):
                kind, raw = event["type"], event["object"]
                if kind == "BOOKMARK":
                    reader.columns(raw)
                else:
                    entry = reader.event(raw)
                    if kind == "DELETED":
                        self.remove(entry.uid)
                    else:
                        self.add(entry)
                state.delivered(event)
                with self._changed:
                    self._complete_to = max(self._complete_to, int(state.version))
                yield state.version
        state.ended(time.monotonic())

    def _on_opened(self) -> None:
        self._rejected_since = None

    def _replace(self, entries: Iterable[Entry], version: int) -> None:
        # In the order of a history, so that each is put at the end of its group.
        ordered = sorted(entries, key=_sequence)
        listed = {entry.uid for entry in ordered} if self._by_id else ()
        for entry in [entry for entry in self._by_id.values() if entry.uid not in listed and entry.version <= version]:
            self._remove(entry.uid)
        for entry in ordered:
            self._put(entry)

    def _put(self, entry: Entry) -> None:
        known = self._by_id.get(entry.uid)
        if entry.uid in self._deleted or (known is not None and known.version >= entry.version):
            return
        if known is not None:
            entry = msgspec.structs.replace(entry, first=known.first)
            self._groups.discard(known)
        else:
            self._counts[entry.namespace] += 1
        self._by_id[entry.uid] = entry
        named = self._by_name.setdefault(entry.namespace, {})
        if (current := named.get(entry.name)) is None or current.version <= entry.version:
            named[entry.name] = entry
        if entry.group:
            self._groups.add(entry)
        for listener in self._listeners:
            listener(entry, False)

    def _remove(self, uid: str) -> None:
        self._deleted[uid] = None
        if len(self._deleted) > DELETED_KEPT:
            del self._deleted[next(iter(self._deleted))]
        if (entry := self._by_id.pop(uid, None)) is None:
            return
        self._counts[entry.namespace] -= 1
        if not self._counts[entry.namespace]:
            del self._counts[entry.namespace]
        named = self._by_name[entry.namespace]
        if named.get(entry.name) is entry:
            del named[entry.name]
            if not named:
                del self._by_name[entry.namespace]
        self._groups.discard(entry)
        for listener in self._listeners:
            listener(entry, True)


def _sequence(entry: Entry) -> int:
    return entry.sequence


class IdIndex:
    """The indexes of all kinds, and the threads that keep them."""

    def __init__(self, api: ApiClient) -> None:
        self._kinds = {resource.kind: KindIndex(resource, api) for resource in _whole(INDEXED)}
        self._ends = threading.Event()
        self._waiting = threading.BoundedSemaphore(WAITING_MOST)

    def start(self) -> None:
        for kind in self._kinds.values():
            threading.Thread(target=kind.run, args=(self._ends,), daemon=True, name=f"index-{kind.resource.plural}").start()

    def stop(self) -> None:
        self._ends.set()

    @property
    def is_ready(self) -> bool:
        """True if every kind has been listed once."""
        return all(kind.listed.is_set() for kind in self._kinds.values())

    @property
    def is_rejected(self) -> bool:
        """True if the API server has rejected this replica's credentials for a while."""
        return any(kind.is_rejected for kind in self._kinds.values())

    def of(self, resource: ApiResource) -> KindIndex:
        return self._kinds[resource.kind]

    def versions(self, namespace: str, workflow: str) -> list[str]:
        """Returns the releases of a workflow, such as `v3`: a WorkflowVersion is named `<workflow>-<version>`."""
        return [workflow_and_version(entry.name)[1] for entry in self.of(VERSIONS).group(f"{namespace}/{workflow}")]

    def places_of(self, row: str, namespace: str) -> set[str]:
        """Returns the namespaces that may hold a row of this name: those where the index has it, and all of the project of `namespace`."""
        # All of the project, because the index may lag.
        known, rows = self.of(NAMESPACES).all(), self.of(ROWS)
        project = next((each.labels.get(PROJECT_LABEL) for each in known if each.name == namespace), None)
        return {
            each.name for each in known if (project and each.labels.get(PROJECT_LABEL) == project) or rows.named(each.name, row) is not None
        }

    def find(self, resource: ApiResource, uid: str) -> Entry | None:
        """Returns the object of an id; None if a relist that began after the call does not have it either. Raises errors.ApiError."""
        kind = self.of(resource)
        if (entry := kind.get(uid)) is not None:
            return entry
        if not self._waiting.acquire(blocking=False):
            raise errors.Unavailable("too many unknown ids are being searched now")
        try:
            kind.relist()
        finally:
            self._waiting.release()
        return kind.get(uid)


def _whole(resources: Iterable[ApiResource]) -> Iterable[ApiResource]:
    """Returns the resources without the selectors with which the operator watches them."""
    return (ApiResource(each.group, each.version, each.plural, each.kind, each.namespaced) for each in resources)


def newest_of(versions: Sequence[str]) -> str | None:
    """Returns the newest of versions such as `v2` and `v10`; None if there is none."""
    return max(versions, key=natural, default=None)
