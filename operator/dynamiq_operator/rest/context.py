"""What every call is answered with: the API server, the index, the sessions and the settings; and finding an object by its id."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, RECORDS, RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.http.errors import hidden_as_unknown, unknown_id
from dynamiq_operator.rest.http.models import ID_PATTERN
from dynamiq_operator.rest.http.sessions import CallerSession, Sessions
from dynamiq_operator.rest.kube.client import ApiServer
from dynamiq_operator.rest.kube.id_index import Entry, IdIndex, newest_of
from dynamiq_operator.rest.kube.pin_cache import PinCache

WORDS = {APPS: "App", NAMESPACES: "project", WORKFLOWS: "workflow", VERSIONS: "workflow version", RUNTIMES: "runtime"}
AT_ONCE = 32
IN_MEMORY = {"resourceVersion": "0"}
"""Query of a read that the API server answers without asking its store."""
_ID = re.compile(ID_PATTERN)
_T = TypeVar("_T")


@dataclass
class ApiContext:
    """One API process."""

    server: ApiServer
    settings: Settings
    index: IdIndex
    sessions: Sessions
    pins: PinCache = field(default_factory=PinCache)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "requests"))

    def find(self, resource: ApiResource, uid: str, field: str = "") -> Entry:
        """The object of an id. `field`: where in the body it stands. Raises HttpProblem 404 and errors.ApiError."""
        found = self.index.find(resource, uid.lower()) if _ID.fullmatch(uid) else None
        if found is None:
            raise unknown_id(WORDS[resource], uid, field)
        return found

    def read(self, session: CallerSession, resource: ApiResource, entry: Entry, accept: str = "application/json") -> Manifest:
        """The object, with the caller's token. Raises HttpProblem 404 where it is gone, another one, or may not be seen."""
        with hidden_as_unknown(WORDS[resource], entry.uid):
            found = session.api.request("GET", resource.path(entry.namespace, entry.name), accept=accept)
        if found["metadata"].get("uid", entry.uid) != entry.uid:
            raise unknown_id(WORDS[resource], entry.uid)
        return found

    def read_cached(self, session: CallerSession, resource: ApiResource, entry: Entry) -> Manifest:
        """The object as the API server has it in memory: in half the time, and it may be older by a moment. Raises as `read` does."""
        with contextlib.suppress(errors.NotFound, errors.Denied):
            found = session.api.request("GET", resource.path(entry.namespace, entry.name), query=IN_MEMORY)
            if found["metadata"]["uid"] == entry.uid:
                return found
        return self.read(session, resource, entry)

    def in_parallel(self, *calls: Callable[[], _T]) -> list[_T]:
        """Results of calls that do not wait for each other, in their order. Raises what the first of them raised."""
        first, *others = calls
        waiting = [self.pool.submit(call) for call in others]
        try:
            found = first()
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
        return [found, *(future.result() for future in waiting)]

    def map_parallel(self, call: Callable[[Any], _T], given: Iterable[Any]) -> list[_T]:
        """The result of a call for each of many."""
        return list(self.pool.map(call, given))

    def id_of(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        found = self.index.of(resource).named(namespace, name)
        return found.uid if found else None

    def created_at(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        found = self.index.of(resource).named(namespace, name)
        return found.created if found else None

    def newest_version(self, namespace: str, workflow: str) -> str | None:
        return newest_of(self.index.versions(namespace, workflow))

    def latest_row(self, app_id: str) -> Entry | None:
        """The newest row of an App, as far as the operator has taken it up."""
        rows = self.index.of(RECORDS).group(app_id)
        return max(rows, key=lambda row: (row.created, row.first, natural(row.name)), default=None)


# Coroutines: plain functions would each wait for a thread of the pool.
async def _service(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


async def _session(request: Request) -> CallerSession:
    session: CallerSession = request.state.session
    return session


ContextOf = Annotated[ApiContext, Depends(_service)]
SessionOf = Annotated[CallerSession, Depends(_session)]
