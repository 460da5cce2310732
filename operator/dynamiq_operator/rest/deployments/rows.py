"""Reads a page of an App's history. The index has the order, and only the rows of the page are read, with the caller's token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypedDict, cast

import msgspec

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.endings import live_reverts
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import CLOSED
from dynamiq_operator.rest.context import IN_MEMORY, ApiContext
from dynamiq_operator.rest.http.pagination import Paging
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.client import ApiClient
from dynamiq_operator.rest.kube.entries import Accepts, Entry
from dynamiq_operator.rest.kube.visibility import or_none
from dynamiq_operator.rest.reads.rows import groups_of

LISTED_MOST = kube_api.PAGE
"""Rows of an App up to which one request lists them all. In a longer history each row of a page is read by itself."""
READ_MOST = 6
"""Rows that are read one by one although all could be listed at once."""
TRIES = 3


class _StoredMeta(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    resourceVersion: str
    creationTimestamp: str


class _StoredRow(TypedDict, total=False):
    metadata: _StoredMeta
    spec: dict[str, Any]
    status: dict[str, Any]


class _List(TypedDict):
    metadata: dict[str, Any]
    items: list[_StoredRow]


_ONE = msgspec.json.Decoder(_StoredRow)
_LIST = msgspec.json.Decoder(_List)


class RowPage(NamedTuple):
    """One page of a history in the requested order, and the number of rows in all."""

    rows: list[Manifest]
    total: int


def page(context: ApiContext, session: CallerSession, app: Entry, paging: Paging, accepts: Accepts | None = None) -> RowPage:
    """Returns a page of an App's rows, of those that a filter `accepts`.

    Raises errors.ApiError; Denied if the caller may not list rows of the namespace.
    """
    index, newest_first = context.index.of(ROWS), paging.sort == "-created_at"
    part = partial(index.part, groups_of(app), paging.begin, paging.page_size, newest_first=newest_first, accepts=accepts)
    by_uid, is_whole = _list(context, session, app, part()[0] if accepts is None else ())
    # A list of exactly the rows that the index has is a check, too: a second request would take as long as the rest of the response.
    if not is_whole or by_uid.keys() != {entry.uid for entry in index.members(groups_of(app), newest_first=True)}:
        check_listable(context, session, app)
    for _ in range(TRIES):
        entries, total = part()
        by_uid |= read(context, session, app, [entry for entry in entries if entry.uid not in by_uid])
        deleted = [entry for entry in entries if entry.uid not in by_uid]
        if not deleted:
            break
        for entry in deleted:
            index.remove(entry.uid)  # the index does not know yet
    return RowPage([by_uid[entry.uid] for entry in entries if entry.uid in by_uid], total)


def listed_page(context: ApiContext, api: ApiClient, app: Entry, token: str = "") -> tuple[dict[str, Manifest], str]:
    """Returns a page of the rows of all Apps of this name, by uid, and the token of the next page, empty if none follows.

    It caches ended rows. `token`: that of this page. Raises errors.ApiError.
    """
    query: dict[str, str | int] = {"fieldSelector": f"spec.app={app.name}", "limit": LISTED_MOST, **({"continue": token} if token else {})}
    answer = api.read_as(_LIST, ROWS.path(app.namespace), query)
    return _keep(context, cast(list[Manifest], answer["items"])), answer["metadata"].get("continue") or ""


def listed(context: ApiContext, session: CallerSession, app: Entry) -> list[Entry]:
    """Returns the index's entries of the App's rows, newest first, for a caller who may list them. Raises as `page` does."""
    check_listable(context, session, app)
    return context.index.of(ROWS).members(groups_of(app), newest_first=True)


def check_listable(context: ApiContext, session: CallerSession, app: Entry) -> None:
    """Checks that the caller may list rows of the namespace, and waits until the index has as many as the API server.

    It lists one row with the caller's token. Raises errors.ApiError; Denied if the caller may not list rows.
    """
    context.count(session, ROWS, app.namespace)


def before(context: ApiContext, app: Entry, entry: Entry) -> Entry | None:
    """Returns the newest row of the App that was rolled out before this one; None if there is none."""
    newest_first = iter(context.index.of(ROWS).members(groups_of(app), newest_first=True))
    if all(each.uid != entry.uid for each in newest_first):
        return None
    return next((each for each in newest_first if each.row is not None and each.row.version), None)


def read(context: ApiContext, session: CallerSession, app: Entry, entries: Sequence[Entry]) -> dict[str, Manifest]:
    """Returns the rows of the entries by uid, without deleted ones, for a caller who may list rows. Raises errors.ApiError."""
    by_uid = {entry.uid: row for entry in entries if (row := context.rows.get(entry)) is not None}
    by_uid |= _list(context, session, app, [entry for entry in entries if entry.uid not in by_uid])[0]
    # A list may lack some: it also has the rows of a deleted App of this name, until they are collected.
    alone = [entry for entry in entries if entry.uid not in by_uid]
    return by_uid | _keep(context, context.map_parallel(lambda entry: _row(session, entry), alone))


def reverts(context: ApiContext, session: CallerSession, app: Entry, manifests: Iterable[Manifest]) -> frozenset[str]:
    """Returns the names of the rows by which the operator reverted one of these; empty if the caller may not list rows.

    Raises errors.ApiError.
    """
    index = context.index.of(ROWS)
    by_name = (index.named(app.namespace, names.revert_row(app.name, row["metadata"]["name"])) for row in manifests)
    entries = [entry for entry in by_name if entry is not None]

    def live() -> frozenset[str]:
        check_listable(context, session, app)
        return live_reverts(read(context, session, app, entries).values())

    return (or_none(live) if entries else None) or frozenset()


def _list(context: ApiContext, session: CallerSession, app: Entry, entries: Sequence[Entry]) -> tuple[dict[str, Manifest], bool]:
    """Lists the first rows of all Apps of this name, by uid, and if these are all.

    It lists none, and says that these are not all, if few entries are uncached or the history is long.
    """
    missing = sum(not context.rows.has(entry) for entry in entries)
    # Counts all rows, not those that a filter accepts: a list has no such filter.
    if missing <= READ_MOST or context.index.of(ROWS).count(groups_of(app)) > LISTED_MOST:
        return {}, False
    rows, token = listed_page(context, session.api, app)
    return rows, not token


def _keep(context: ApiContext, rows: Iterable[Manifest | None]) -> dict[str, Manifest]:
    """Returns rows as they were read, without deleted ones, by uid. It caches those that are closed."""
    by_uid = {row["metadata"]["uid"]: row for row in rows if row is not None}
    for row in by_uid.values():
        version = int(row["metadata"].pop("resourceVersion"))
        if _is_closed(row):
            context.rows.put(version, row)
    return by_uid


def _row(session: CallerSession, entry: Entry) -> Manifest | None:
    """Reads one row; None if it is deleted, or another row has its name."""
    path = ROWS.path(entry.namespace, entry.name)
    # A row that has ended does not change: the API server's watch cache suffices if it has the end.
    for query in (IN_MEMORY, {}) if entry.is_closed else ({},):
        try:
            row = cast(Manifest, session.api.read_as(_ONE, path, query))
        except errors.NotFound:
            continue
        if row["metadata"]["uid"] == entry.uid and (not query or _is_closed(row)):
            return row
    return None


def _is_closed(row: Manifest) -> bool:
    return (row.get("status") or {}).get("phase") in CLOSED
