"""Reads the archive of an App's rows from the recorder, with the caller's token, in the thread of a request.

If the recorder does not answer, the request fails: a history without its older part must not look complete.
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


class ArchivedKey(NamedTuple):
    """The values that identify an archived row. A restore gives the row another uid."""

    uid: str
    sequence: int
    name: str


class RecorderArchive:
    """The archive of one App.

    Every call raises HttpProblem: 501 if this API has no recorder, 503 if the recorder does not answer.
    """

    def __init__(self, context: ApiContext, session: CallerSession, app_uid: str) -> None:
        self._context, self._session, self._path = context, session, f"/v1/apps/{app_uid}/archive"

    def keys(self, first: int) -> tuple[list[ArchivedKey], int]:
        """Returns the keys of at most 5,000 rows from a sequence on, newest first, and how many rows the archive has."""
        page = self._get("/keys", [("from", str(first))])
        return [ArchivedKey(each["uid"], each["sequence"], each["name"]) for each in page["data"]], page["pagination"]["total_count"]

    def rows(self, begin: int, count: int) -> list[Manifest]:
        """Returns `count` rows after the newest `begin`, newest first."""
        rows: list[Manifest] = []
        while len(rows) < count:
            limit = min(PAGE, count - len(rows))
            batch = self._get("", [("offset", str(begin + len(rows))), ("limit", str(limit))])["data"]
            rows += batch
            if len(batch) < limit:
                break
        return rows

    def older_than(self, sequence: int, count: int) -> list[Manifest]:
        """Returns the newest rows before a sequence."""
        rows: list[Manifest] = self._get("", [("cursor", f"{sequence}.0"), ("limit", str(count))])["data"]
        return rows

    def walk(self) -> Iterator[Manifest]:
        """Yields all rows, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self._get("", [("limit", str(PAGE)), *([("cursor", cursor)] if cursor is not None else [])])
            yield from page["data"]
            cursor = page["pagination"]["next_cursor"]
            if cursor is None:
                return

    def count(self) -> int:
        """Returns how many rows there are."""
        return self.keys(FIRST_OF_NONE)[1]

    def around(self, time: str) -> list[Manifest]:
        """Returns the rows that decide what was live at a time."""
        rows: list[Manifest] = self._get("/at", [("time", time)])["data"]
        return rows

    def row(self, uid: str) -> Manifest | None:
        """Returns the row of an id; None if it is missing."""
        row: Manifest | None = self._entry(f"/rows/{uid}")
        return row

    def flow(self, flow_hash: str) -> str | None:
        """Returns the flow of a hash; None if it is missing, or the caller may not read it."""
        entry = self._entry(f"/flows/{flow_hash}")
        return entry["flow"] if entry is not None else None

    def _entry(self, path: str) -> Any:
        try:
            return self._get(path)["data"]
        except HttpProblem as problem:
            if problem.status == 404:
                return None
            raise

    def _get(self, path: str, query: Query = ()) -> Any:
        credentials = self._session.api.credentials[0]
        return anyio.from_thread.run(self._context.recorder.read, credentials, f"{self._path}{path}", query)


def archive_of(context: ApiContext, session: CallerSession, app: Entry) -> RecorderArchive | None:
    """Returns the archive of an App that has one; None without a recorder, and for a caller who may not read the App."""
    if not context.recorder.is_there:
        return None
    try:
        raw = session.api.request("GET", APPS.path(app.namespace, app.name), query=IN_MEMORY)
    except (errors.NotFound, errors.Denied):
        return None
    return RecorderArchive(context, session, app.uid) if raw["metadata"]["uid"] == app.uid and has_archive(raw) else None
