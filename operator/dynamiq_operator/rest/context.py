"""The context of every request: API server, id index, sessions and settings; and how an id becomes an object."""

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
from dynamiq_operator.kube.api import METADATA_ONE
from dynamiq_operator.kube.resources import APPS, NAMESPACES, RECORDS, RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.http.errors import hidden_as_unknown, unknown_id
from dynamiq_operator.rest.http.models import ID_PATTERN
from dynamiq_operator.rest.http.recorder import Recorder
from dynamiq_operator.rest.http.reviews import Reviews
from dynamiq_operator.rest.http.sessions import CallerSession, Sessions
from dynamiq_operator.rest.http.streams import Streams
from dynamiq_operator.rest.kube.client import ApiServer
from dynamiq_operator.rest.kube.entries import Entry, owned_by
from dynamiq_operator.rest.kube.flow_hashes import FlowHashes
from dynamiq_operator.rest.kube.id_index import IdIndex, newest_of
from dynamiq_operator.rest.kube.pin_cache import PinCache
from dynamiq_operator.rest.kube.row_cache import RowCache
from dynamiq_operator.serving.lanes import Lane

WORDS = {
    APPS: "App",
    NAMESPACES: "project",
    RECORDS: "deployment",
    WORKFLOWS: "workflow",
    VERSIONS: "workflow version",
    RUNTIMES: "runtime",
}
AT_ONCE = 64
VERIFIED_AT_ONCE, WAITING_TO_VERIFY = 2, 4
"""Histories that are verified at once, and requests of one caller that wait for it."""
WIDTH = 5
"""Requests to the API server that one request has under way at once."""
IN_MEMORY = {"resourceVersion": "0"}
"""Query of a read that the API server answers from its watch cache, without a quorum read from etcd."""
_ID = re.compile(ID_PATTERN)
_T = TypeVar("_T")


@dataclass
class ApiContext:
    """One per process. Thread-safe: routes run in worker threads."""

    server: ApiServer
    settings: Settings
    index: IdIndex
    sessions: Sessions
    rows: RowCache = field(default_factory=RowCache)
    pins: PinCache = field(default_factory=PinCache)
    flow_hashes: FlowHashes = field(default_factory=FlowHashes)
    verifications: Lane = field(default_factory=lambda: Lane(VERIFIED_AT_ONCE, 1, WAITING_TO_VERIFY))
    recorder: Recorder = field(default_factory=Recorder)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "requests"))
    reviews: Reviews = field(init=False)
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        self.reviews, self.streams = Reviews(self.sessions), Streams(self.index)

    def find(self, resource: ApiResource, uid: str, field: str = "") -> Entry:
        """The index entry of an id. `field`: the body's field that holds it. Raises HttpProblem 404 and errors.ApiError."""
        found = self.index.find(resource, uid.lower()) if _ID.fullmatch(uid) else None
        if found is None:
            raise unknown_id(WORDS[resource], uid, field)
        return found

    def find_all(self, session: CallerSession, **named: tuple[ApiResource, str | None]) -> dict[str, Entry]:
        """The objects of a body's ids, by their fields, without those that are None. Raises as `find` does.

        A version is asked for: a row names it, and where another has its name by now the row would run what nobody asked for.
        """
        found = {}
        for where, (resource, uid) in named.items():
            if uid is None:
                continue
            if (entry := self.index.find(resource, uid.lower())) is None:
                raise unknown_id(WORDS[resource], uid, where)
            found[where] = entry
            if resource is VERSIONS:
                try:
                    there = session.api.request("GET", resource.path(entry.namespace, entry.name), accept=METADATA_ONE)
                except errors.NotFound:
                    raise unknown_id(WORDS[resource], uid, where) from None
                except errors.Denied as error:
                    if error.status == 401:
                        raise
                    continue  # the API server decides about the row
                if there["metadata"]["uid"] != entry.uid:
                    raise unknown_id(WORDS[resource], uid, where)
        return found

    def read(self, session: CallerSession, resource: ApiResource, entry: Entry, accept: str = "application/json") -> Manifest:
        """Reads the object with the caller's token. Raises HttpProblem 404 where it is gone, replaced by another, or not visible to the caller."""
        with hidden_as_unknown(WORDS[resource], entry.uid):
            found = session.api.request("GET", resource.path(entry.namespace, entry.name), accept=accept)
        if found["metadata"].get("uid", entry.uid) != entry.uid:
            raise unknown_id(WORDS[resource], entry.uid)
        return found

    def open_cached(self, session: CallerSession, resource: ApiResource, uid: str) -> tuple[Entry, Manifest]:
        """Reads the object of an id from the API server's watch cache: takes half the time, and may be stale by a moment. Raises as `read` does."""
        entry = self.find(resource, uid)
        with contextlib.suppress(errors.NotFound, errors.Denied):
            found = session.api.request("GET", resource.path(entry.namespace, entry.name), query=IN_MEMORY)
            if found["metadata"]["uid"] == entry.uid:
                return entry, found
        return entry, self.read(session, resource, entry)

    def in_parallel(self, *calls: Callable[[], _T]) -> list[_T]:
        """Runs the calls concurrently; returns their results in order. Raises what the first of them raised."""
        return self.map_parallel(lambda call: call(), calls)

    def map_parallel(self, call: Callable[[Any], _T], given: Iterable[Any]) -> list[_T]:
        """Runs the call for each item, `WIDTH` at once; returns the results in order. Raises what the first of them raised.

        The width is a request's share: one that has much to ask does not put others behind all of it.
        """
        items = list(given)
        found: dict[int, _T] = {}
        left = iter(enumerate(items))  # shared: each item is taken once

        def work() -> None:
            for number, item in left:
                found[number] = call(item)

        # The ids and the deadline of the request go along.
        waiting = [self.pool.submit(contextvars.copy_context().run, work) for _ in range(min(WIDTH, len(items)) - 1)]
        try:
            work()
        except BaseException:
            for _ in left:
                pass
            for future in waiting:
                future.cancel()
            raise
        for future in waiting:
            future.result()
        return [found[number] for number in range(len(items))]

    def id_of(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        found = self.index.of(resource).named(namespace, name)
        return found.uid if found else None

    def created_at(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        found = self.index.of(resource).named(namespace, name)
        return found.created if found else None

    def labels_of(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace; none where it is not known."""
        found = self.index.of(NAMESPACES).named("", namespace)
        return found.labels if found else {}

    def newest_version(self, namespace: str, workflow: str) -> str | None:
        return newest_of(self.index.versions(namespace, workflow))

    def sequence_of(self, namespace: str, row: str) -> int | None:
        found = self.index.of(RECORDS).named(namespace, row)
        return found.sequence or None if found else None

    def latest_row(self, namespace: str, app_id: str) -> Entry | None:
        """The newest row of an App among those that the operator has made it the owner of."""
        return self.index.of(RECORDS).newest(owned_by(namespace, app_id))


# Coroutines: FastAPI would run plain functions in a worker thread each.
async def _service(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


async def _session(request: Request) -> CallerSession:
    session: CallerSession = request.state.session
    return session


ContextOf = Annotated[ApiContext, Depends(_service)]
SessionOf = Annotated[CallerSession, Depends(_session)]
