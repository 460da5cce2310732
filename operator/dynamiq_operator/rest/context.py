"""The context of every request: API server, id index, sessions and settings. It also resolves ids to objects."""

from __future__ import annotations

import contextlib
import contextvars
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import METADATA, METADATA_ONE
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.http.errors import hidden_as_unknown, unknown_id
from dynamiq_operator.rest.http.invoking import Invoker
from dynamiq_operator.rest.http.models import ID_PATTERN
from dynamiq_operator.rest.http.recorder import JOURNAL, RecorderClient
from dynamiq_operator.rest.http.sessions import CallerSession, Sessions
from dynamiq_operator.rest.http.streams import Streams
from dynamiq_operator.rest.kube.client import ApiServer
from dynamiq_operator.rest.kube.entries import Entry, owned_by
from dynamiq_operator.rest.kube.id_index import IdIndex, newest_of
from dynamiq_operator.rest.kube.row_cache import RowCache
from dynamiq_operator.rest.kube.visibility import or_none
from dynamiq_operator.serving.lanes import Lane
from dynamiq_operator.serving.recent import Recent

KIND_NAMES = {
    APPS: "App",
    NAMESPACES: "project",
    ROWS: "deployment",
    WORKFLOWS: "workflow",
    VERSIONS: "workflow version",
    RUNTIMES: "runtime",
}
AT_ONCE = 64
PINS_MOST, FLOW_HASHES_MOST, DESCRIPTIONS_MOST = 2_000, 20_000, 2_000
VERIFIED_AT_ONCE, WAITING_TO_VERIFY = 2, 4
"""Histories that are verified at a time, and requests of one caller that may wait for that."""
WIDTH = 5
"""Concurrent requests to the API server for one request."""
IN_MEMORY = {"resourceVersion": "0"}
"""Query of a read that the API server answers from its watch cache, without a quorum read from etcd."""
_ID = re.compile(ID_PATTERN)
_T = TypeVar("_T")


@dataclass
class ApiContext:
    """The context of a process. Thread-safe: routes run in worker threads."""

    server: ApiServer
    settings: Settings
    index: IdIndex
    sessions: Sessions
    rows: RowCache = field(default_factory=RowCache)
    pins: Recent[tuple[str, str], Mapping[str, Any]] = field(default_factory=lambda: Recent(PINS_MOST))
    """Pins of rows, by the hash of the token that read them, and the row's uid."""
    flow_hashes: Recent[str, str] = field(default_factory=lambda: Recent(FLOW_HASHES_MOST))
    """Hashes of releases' flows, by the uid of the release, which never changes. Who may list releases could read them."""
    descriptions: Recent[tuple[str, int], str] = field(default_factory=lambda: Recent(DESCRIPTIONS_MOST))
    """Descriptions of workflows, by uid and resourceVersion, for callers who may list workflows."""
    verifications: Lane = field(default_factory=lambda: Lane(VERIFIED_AT_ONCE, 1, WAITING_TO_VERIFY))
    recorder: RecorderClient = field(default_factory=RecorderClient)
    journal: RecorderClient = field(default_factory=lambda: RecorderClient(server=JOURNAL))
    invoker: Invoker = field(default_factory=Invoker)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "requests"))
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        self.streams = Streams(self.index)

    def find(self, resource: ApiResource, uid: str, field: str = "") -> Entry:
        """Returns the index entry of an id. Raises HttpProblem 404 and errors.ApiError.

        `field`: the body's field that holds the id.
        """
        entry = self.index.find(resource, uid.lower()) if _ID.fullmatch(uid) else None
        if entry is None:
            raise unknown_id(KIND_NAMES[resource], uid, field)
        return entry

    def find_all(self, session: CallerSession, **named: tuple[ApiResource, str | None]) -> dict[str, Entry]:
        """Returns the objects of a body's ids, by field; ids that are None are left out. Raises as `find` does."""
        entries = {}
        for where, (resource, uid) in named.items():
            if uid is None:
                continue
            if (entry := self.index.find(resource, uid.lower())) is None:
                raise unknown_id(KIND_NAMES[resource], uid, where)
            entries[where] = entry
            # A row names its version. If another one has that name by now, the row would run a flow that nobody chose.
            if resource is VERSIONS:
                try:
                    current = session.api.request("GET", resource.path(entry.namespace, entry.name), accept=METADATA_ONE)
                except errors.NotFound:
                    raise unknown_id(KIND_NAMES[resource], uid, where) from None
                except errors.Forbidden:
                    continue  # the API server decides about the row
                if current["metadata"]["uid"] != entry.uid:
                    raise unknown_id(KIND_NAMES[resource], uid, where)
        return entries

    def read(self, session: CallerSession, resource: ApiResource, entry: Entry, accept: str = "application/json") -> Manifest:
        """Reads the object with the caller's token. Raises HttpProblem 404 if it is deleted, replaced, or not visible to the caller."""
        with hidden_as_unknown(KIND_NAMES[resource], entry.uid):
            manifest = session.api.request("GET", resource.path(entry.namespace, entry.name), accept=accept)
        if manifest["metadata"].get("uid", entry.uid) != entry.uid:
            raise unknown_id(KIND_NAMES[resource], entry.uid)
        return manifest

    def open(self, session: CallerSession, resource: ApiResource, uid: str, accept: str = "application/json") -> tuple[Entry, Manifest]:
        """Reads the object of an id with the caller's token. Raises as `find` and `read` do."""
        entry = self.find(resource, uid)
        return entry, self.read(session, resource, entry, accept)

    def open_cached(self, session: CallerSession, resource: ApiResource, uid: str) -> tuple[Entry, Manifest]:
        """Reads the object of an id from the API server's watch cache.

        This takes half the time, and may be stale by a moment. Raises as `read` does.
        """
        entry = self.find(resource, uid)
        with contextlib.suppress(errors.NotFound, errors.Denied):
            manifest = session.api.request("GET", resource.path(entry.namespace, entry.name), query=IN_MEMORY)
            if manifest["metadata"]["uid"] == entry.uid:
                return entry, manifest
        return entry, self.read(session, resource, entry)

    def in_parallel(self, *calls: Callable[[], _T]) -> list[_T]:
        """Runs the calls concurrently; returns their results in order. Raises what the first of them raised."""
        return self.map_parallel(lambda call: call(), calls)

    def map_parallel(self, call: Callable[[Any], _T], arguments: Iterable[Any]) -> list[_T]:
        """Runs the call for each item, `WIDTH` at once; returns the results in order. Raises what the first of them raised."""
        items = list(arguments)
        results: dict[int, _T] = {}
        remaining = iter(enumerate(items))  # shared: each item is taken once

        def work() -> None:
            for number, item in remaining:
                results[number] = call(item)

        # The context has the ids and the deadline of the request. WIDTH is its share: a large request must not delay all others.
        waiting = [self.pool.submit(contextvars.copy_context().run, work) for _ in range(min(WIDTH, len(items)) - 1)]
        try:
            work()
        except BaseException:
            for _ in remaining:
                pass
            for future in waiting:
                future.cancel()
            raise
        for future in waiting:
            future.result()
        return [results[number] for number in range(len(items))]

    def count(self, session: CallerSession, resource: ApiResource, namespace: str) -> int:
        """Returns how many objects a namespace has, or all; 0 if the API server counts none. Waits until the index has as many.

        It lists one object with the caller's token. Raises errors.ApiError; Denied if the caller may not list them.
        """
        answer = session.api.request("GET", resource.path(namespace), query={"limit": 1}, accept=METADATA)
        more = answer["metadata"].get("remainingItemCount")
        if more is None and answer["metadata"].get("continue"):
            return 0
        count = len(answer["items"] or ()) + (more or 0)
        self.index.of(resource).catch_up(namespace, count)
        return count

    def in_each_namespace(self, resource: ApiResource, read: Callable[[str], _T]) -> dict[str, _T]:
        """Returns the results of a read in each namespace that has such objects, without those that the caller may not list."""
        namespaces = self.index.of(resource).namespaces()
        results = self.map_parallel(lambda namespace: or_none(lambda: read(namespace)), namespaces)
        return {namespace: items for namespace, items in zip(namespaces, results, strict=True) if items is not None}

    def id_of(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        entry = self.index.of(resource).named(namespace, name)
        return entry.uid if entry else None

    def created_at(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        entry = self.index.of(resource).named(namespace, name)
        return entry.created if entry else None

    def labels_of(self, namespace: str) -> Mapping[str, str]:
        """Returns the labels of a namespace; empty if it is unknown."""
        entry = self.index.of(NAMESPACES).named("", namespace)
        return entry.labels if entry else {}

    def newest_version(self, namespace: str, workflow: str) -> str | None:
        return newest_of(self.index.versions(namespace, workflow))

    def sequence_of(self, namespace: str, row: str) -> int | None:
        entry = self.index.of(ROWS).named(namespace, row)
        return entry.sequence or None if entry else None

    def latest_row(self, namespace: str, app_id: str) -> Entry | None:
        """Returns the newest row in the index that the App owns. The operator sets the owner."""
        return self.index.of(ROWS).newest(owned_by(namespace, app_id))


# Coroutines: FastAPI would run plain functions in a worker thread each.
async def _service(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


async def _session(request: Request) -> CallerSession:
    session: CallerSession = request.state.session
    return session


ContextOf = Annotated[ApiContext, Depends(_service)]
SessionOf = Annotated[CallerSession, Depends(_session)]
