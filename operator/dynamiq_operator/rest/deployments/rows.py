"""A page of an App's history: the index has its order, and the rows of the page alone are read, with the caller's token.

Only the fields that a response needs are decoded: managedFields alone are half of what the API server sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict, cast

import msgspec

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import CLOSED
from dynamiq_operator.rest.context import IN_MEMORY, ApiContext
from dynamiq_operator.rest.http.pagination import Paging
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry, owned_by

LISTED_MOST = kube_api.PAGE
"""Rows of an App that one request lists; of a longer history each row of a page is read by itself."""
READ_MOST = 6
"""Rows that are read each by itself where all can be listed at once."""
TRIES = 3


class _Meta(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    resourceVersion: str
    creationTimestamp: str


class _Row(TypedDict, total=False):
    metadata: _Meta
    spec: dict[str, Any]
    status: dict[str, Any]


class _List(TypedDict):
    metadata: dict[str, Any]
    items: list[_Row]


_ONE = msgspec.json.Decoder(_Row)
_LIST = msgspec.json.Decoder(_List)


class Page(NamedTuple):
    """Some rows of a history, in the order that was asked for, and how many there are of it."""

    rows: list[Manifest]
    total: int


def page(context: ApiContext, session: CallerSession, app: Entry, paging: Paging) -> Page:
    """A page of an App's rows. Raises errors.ApiError; Denied where the caller may not list rows of the namespace."""
    index = context.index.of(RECORDS)
    # A list of one row: RBAC says whether the caller may read rows here, and the API server how many there are.
    path = RECORDS.path(app.namespace)
    told = session.api.request("GET", path, query={"limit": 1}, accept=kube_api.METADATA)
    more = told["metadata"].get("remainingItemCount")
    if more is not None or not told["metadata"].get("continue"):
        index.catch_up(app.namespace, len(told["items"] or ()) + (more or 0))
    groups = (owned_by(app.namespace, app.uid), f"{app.namespace}/{app.name}")
    rows, total = list[Manifest](), 0
    for _ in range(TRIES):
        entries, total = index.part(groups, paging.begin, paging.page_size, newest_first=paging.sort == "-created_at")
        found = _read(context, session, app, entries, total)
        rows = [found[entry.uid] for entry in entries if entry.uid in found]
        if len(rows) == len(entries):
            break
        for entry in entries:
            if entry.uid not in found:
                index.remove(entry.uid)  # it was deleted, which the index has not heard of yet
    return Page(rows, total)


def _read(context: ApiContext, session: CallerSession, app: Entry, entries: Sequence[Entry], total: int) -> dict[str, Manifest]:
    """The rows of the entries by uid, without those that are gone."""
    found = {entry.uid: row for entry in entries if (row := context.rows.get(entry)) is not None}
    missing = [entry for entry in entries if entry.uid not in found]
    read = _listed(session, app) if len(missing) > READ_MOST and total <= LISTED_MOST else []
    # A list may be short of some: it has the rows of a deleted App of this name, too, until they are collected.
    listed = {row["metadata"]["uid"] for row in read}
    alone = [entry for entry in missing if entry.uid not in listed]
    read += [row for row in context.map_parallel(lambda entry: _row(session, entry), alone) if row is not None]
    for row in read:
        version = int(row["metadata"].pop("resourceVersion"))
        found[row["metadata"]["uid"]] = row
        if _is_closed(row):
            context.rows.put(version, row)
    return found


def _listed(session: CallerSession, app: Entry) -> list[Manifest]:
    """The first rows of all Apps of this name, in the order of their names."""
    query: dict[str, str | int] = {"fieldSelector": f"spec.app={app.name}", "limit": LISTED_MOST}
    path = RECORDS.path(app.namespace)
    try:
        return cast(list[Manifest], _LIST.decode(session.api.read(path, query))["items"])
    except msgspec.DecodeError as error:
        raise errors.Unavailable(f"GET {path}: the answer is no list of rows") from error


def _row(session: CallerSession, entry: Entry) -> Manifest | None:
    """One row; None where it is gone, or another has its name."""
    path = RECORDS.path(entry.namespace, entry.name)
    # What has ended does not change: the API server's memory will do, where it has heard of the end.
    for query in (IN_MEMORY, {}) if entry.is_closed else ({},):
        try:
            row = cast(Manifest, _ONE.decode(session.api.read(path, query)))
        except errors.NotFound:
            continue
        except msgspec.DecodeError as error:
            raise errors.Unavailable(f"GET {path}: the answer is no row") from error
        if row["metadata"]["uid"] == entry.uid and (not query or _is_closed(row)):
            return row
    return None


def _is_closed(row: Manifest) -> bool:
    return (row.get("status") or {}).get("phase") in CLOSED
