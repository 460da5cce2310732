"""The archive of an App's rows, where it has one: asked of the recorder, with the caller's token, from the thread of a request.

A recorder that does not answer is a problem of the request and no empty archive: a history without its older part is not told as if it were whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import anyio.from_thread

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.archive import InCluster as InCluster
from dynamiq_operator.model.archive import has_archive
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import IN_MEMORY, ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.recorder import Query
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry

FIRST_OF_NONE = 2**62
"""A sequence that no row has."""
PAGE = 200
"""Rows of one request to the recorder."""


class Key(NamedTuple):
    """By what an archived row is known again: a restore gives it another uid."""

    uid: str
    sequence: int
    name: str


class Archive:
    """Every call raises HttpProblem: 501 where this API was told of no recorder, 503 where that does not answer."""

    def __init__(self, context: ApiContext, session: CallerSession, app_uid: str) -> None:
        self._context, self._session, self._path = context, session, f"/v1/apps/{app_uid}/archive"

    def keys(self, first: int) -> tuple[list[Key], int]:
        """Of the rows from a sequence on, newest first, at most 5,000; and how many rows the archive has."""
        found = self._get("/keys", [("from", str(first))])
        return [Key(each["uid"], each["sequence"], each["name"]) for each in found["data"]], found["pagination"]["total_count"]

    def rows(self, begin: int, count: int) -> list[Manifest]:
        """So many rows after `begin` others, newest first."""
        found: list[Manifest] = []
        while len(found) < count:
            limit = min(PAGE, count - len(found))
            some = self._get("", [("offset", str(begin + len(found))), ("limit", str(limit))])["data"]
            found += some
            if len(some) < limit:
                break
        return found

    def older_than(self, sequence: int, count: int) -> list[Manifest]:
        """The newest rows before a sequence."""
        found: list[Manifest] = self._get("", [("cursor", f"{sequence}.0"), ("limit", str(count))])["data"]
        return found

    def walk(self) -> Iterator[Manifest]:
        """All rows, newest first, a page at a time."""
        cursor: str | None = None
        while True:
            page = self._get("", [("limit", str(PAGE)), *([("cursor", cursor)] if cursor is not None else [])])
            yield from page["data"]
            cursor = page["pagination"]["next_cursor"]
            if cursor is None:
                return

    def count(self) -> int:
        """How many rows there are."""
        return self.keys(FIRST_OF_NONE)[1]

    def around(self, time: str) -> list[Manifest]:
        """Those that tell what was live at a time."""
        found: list[Manifest] = self._get("/at", [("time", time)])["data"]
        return found

    def row(self, wanted: str) -> Manifest | None:
        """The row of an id."""
        found: Manifest | None = self._one(f"/rows/{wanted}")
        return found

    def flow(self, flow_hash: str) -> str | None:
        """The flow of a hash; None where it is not there, or the caller may not read it."""
        found = self._one(f"/flows/{flow_hash}")
        return found["flow"] if found is not None else None

    def _one(self, path: str) -> Any:
        try:
            return self._get(path)["data"]
        except HttpProblem as problem:
            if problem.status == 404:
                return None
            raise

    def _get(self, path: str, query: Query = ()) -> Any:
        credentials = self._session.api.credentials[0]
        return anyio.from_thread.run(self._context.recorder.read, credentials, f"{self._path}{path}", query)


def archive_of(context: ApiContext, session: CallerSession, app: Entry) -> Archive | None:
    """The archive of an App that has one. None where this API was told of no recorder, and for a caller who may not read the App."""
    if not context.recorder.is_there:
        return None
    try:
        found = session.api.request("GET", APPS.path(app.namespace, app.name), query=IN_MEMORY)
    except (errors.NotFound, errors.Denied):
        return None
    return Archive(context, session, app.uid) if found["metadata"]["uid"] == app.uid and has_archive(found) else None
