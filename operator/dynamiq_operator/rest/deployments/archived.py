"""Reads a history across the cluster and the archive. The cluster's rows are the newest; a row that both have is listed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dynamiq_operator.actions.archived_row import WithArchivedRow
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.deployments.responses import ArchiveShape
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.pagination import Paging
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Accepts, Entry
from dynamiq_operator.rest.reads.archive import ArchivedKey, RecorderArchive, archive_of
from dynamiq_operator.rest.reads.rows import groups_of, is_id, read_row

FILTERED = "filters apply only to rows in the cluster: archived rows are not listed"
UNREACHED = "older rows are in the archive, which cannot be read now: "
AWAY = (501, 503)


class HistoryPage(NamedTuple):
    """One page of a history. `names`: of the rows in the cluster. `archive`: facts about the archive; None if the App has none."""

    rows: list[Manifest]
    total: int
    names: frozenset[str]
    archive: ArchiveShape | None


def page(context: ApiContext, session: CallerSession, app: Entry, paging: Paging, accepts: Accepts | None) -> HistoryPage:
    """Returns a page of an App's history.

    Raises errors.ApiError, and HttpProblem if the page has rows of an archive that does not answer.
    """
    archive = archive_of(context, session, app)
    if archive is None:
        return _in_cluster(context, session, app, paging, accepts, None)
    if accepts is not None:
        return _in_cluster(context, session, app, paging, accepts, ArchiveShape(rows=None, says=FILTERED))
    rows.check_listable(context, session, app)
    try:
        merged = _merged_page(context, session, app, paging, archive)
    except HttpProblem as problem:
        count = context.index.of(ROWS).count(groups_of(app))
        if problem.status not in AWAY or paging.sort != "-created_at" or paging.begin >= max(count, 1):
            raise
        return _in_cluster(context, session, app, paging, None, ArchiveShape(rows=None, says=f"{UNREACHED}{problem}"))
    return merged


def row(context: ApiContext, session: CallerSession, app: Entry, uid: str, field: str = "") -> Manifest:
    """Returns a row of the App whole, from the cluster or the archive.

    Raises errors.ApiError, and HttpProblem 404, also for another App's row.
    """
    is_unknown = is_id(uid) and context.index.of(ROWS).get(uid.lower()) is None
    if is_unknown and (archive := archive_of(context, session, app)) is not None:
        rows.check_listable(context, session, app)
        archived_row = archive.row(uid.lower())
        if archived_row is not None and archived_row["metadata"]["uid"] == uid.lower():
            return archived_row
    return read_row(context, session, app, uid, field)[1]


def before(context: ApiContext, session: CallerSession, app: Entry, after: Manifest) -> Manifest | None:
    """Returns the row that was rolled out before this one; None if there is none. Raises as `row` does."""
    entry = context.index.of(ROWS).get(after["metadata"]["uid"])
    older = rows.before(context, app, entry) if entry is not None else None
    if older is not None:
        return read_row(context, session, app, older.uid)[1]
    archive = archive_of(context, session, app)
    if archive is None or "sequence" not in after["spec"]:
        return None
    return next((each for each in archive.older_than(after["spec"]["sequence"], rows.READ_MOST) if "pinned" in each["spec"]), None)


def api_for(context: ApiContext, session: CallerSession, app: Entry, restores: str) -> tuple[Api, Manifest | None]:
    """Returns the API with which a deploy is previewed and made, and the archived row that it restores, None if it restores none.

    Raises HttpProblem.
    """
    is_unknown = is_id(restores) and context.index.of(ROWS).get(restores.lower()) is None
    if not is_unknown or (archive := archive_of(context, session, app)) is None:
        return session.api, None
    archived_row = archive.row(restores.lower())
    if archived_row is None or archived_row["metadata"]["uid"] != restores.lower():
        return session.api, None
    pinned = archived_row["spec"].get("pinned")
    made = WithArchivedRow(session.api, archived_row, archive.flow(pinned["workflowHash"]) if pinned else None)
    return made, made.row


def api_of(context: ApiContext, session: CallerSession, app: Entry, *compared: Manifest | None) -> Api:
    """Returns the API with which these rows are compared. It also has the flows of rows that only the archive has. Raises HttpProblem."""
    api: Api = session.api
    for row in compared:
        if row is not None and is_archived(row) and (archive := archive_of(context, session, app)) is not None:
            pinned = row["spec"].get("pinned")
            api = WithArchivedRow(api, row, archive.flow(pinned["workflowHash"]) if pinned else None)
    return api


def is_archived(row: Manifest) -> bool:
    """Returns True if a row that was read whole is only in the archive, which keeps none of the cluster's own fields."""
    return "resourceVersion" not in row["metadata"]


def flow(context: ApiContext, session: CallerSession, app: Entry, flow_hash: str) -> str | None:
    """Returns a flow from the App's archive; None if the App has no archive or the archive no such flow."""
    archive = archive_of(context, session, app)
    return archive.flow(flow_hash) if archive is not None else None


def _in_cluster(
    context: ApiContext, session: CallerSession, app: Entry, paging: Paging, accepts: Accepts | None, archive: ArchiveShape | None
) -> HistoryPage:
    listed = rows.page(context, session, app, paging, accepts)
    return HistoryPage(listed.rows, listed.total, frozenset(each["metadata"]["name"] for each in listed.rows), archive)


def _merged_page(context: ApiContext, session: CallerSession, app: Entry, paging: Paging, archive: RecorderArchive) -> HistoryPage:
    index = context.index.of(ROWS)
    for attempt in range(rows.TRIES):
        members = index.members(groups_of(app), newest_first=True)
        keys, archived = archive.keys(min((each.sequence for each in members if each.sequence), default=0))
        newest = _merged(members, keys)
        total = len(newest) + archived - len(keys)
        places = range(total) if paging.sort == "-created_at" else range(total - 1, -1, -1)
        shown = [
            newest[at] if at < len(newest) else len(keys) + at - len(newest)
            for at in places[paging.begin : paging.begin + paging.page_size]
        ]
        entries = [each for each in shown if isinstance(each, Entry)]
        by_uid = rows.read(context, session, app, entries)
        missing = [entry for entry in entries if entry.uid not in by_uid]
        if not missing or attempt == rows.TRIES - 1:
            break
        for entry in missing:
            index.remove(entry.uid)  # retention deleted it, and the index does not know yet: now it is in the archive
    of_archive = _read(archive, [each for each in shown if isinstance(each, int)])
    manifests = [by_uid.get(each.uid) if isinstance(each, Entry) else of_archive.get(each) for each in shown]
    names = frozenset(entry.name for entry in entries)
    return HistoryPage([each for each in manifests if each is not None], total, names, ArchiveShape(rows=archived, says=None))


def _merged(members: Sequence[Entry], keys: Sequence[ArchivedKey]) -> list[Entry | int]:
    """Merges the cluster's rows with archived ones that are as young and not among them, newest first.

    Archived rows are given by their places.
    """
    uids, known = {each.uid for each in members}, {(each.sequence, each.name) for each in members}
    between = [(key, at) for at, key in enumerate(keys) if key.uid not in uids and (key.sequence, key.name) not in known]
    merged: list[Entry | int] = []
    for entry in members:
        while between and entry.sequence and between[0][0].sequence > entry.sequence:
            merged.append(between.pop(0)[1])
        merged.append(entry)
    return [*merged, *(at for _, at in between)]


def _read(archive: RecorderArchive, places: Sequence[int]) -> dict[int, Manifest]:
    """Returns archived rows by their places, which must be close together."""
    if not places:
        return {}
    first = min(places)
    return dict(enumerate(archive.rows(first, max(places) - first + 1), first))
