"""A history across the cluster and the archive: the cluster's rows are the newest, and a row that both have is shown once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.archived_row import WithArchivedRow
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.pagination import Paging
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Accepts, Entry
from dynamiq_operator.rest.shared.archive import Archive, Key, archive_of
from dynamiq_operator.rest.shared.rows import groups_of, is_id, read_row

FILTERED = "filters look at the rows in the cluster alone: those in the archive are not among these"
UNREACHED = "older rows are in the archive, which cannot be read now: "
AWAY = (501, 503)


class Page(NamedTuple):
    """Some rows of a history. `names`: of those in the cluster. `archive`: what is told of the archive, None of an App that has none."""

    rows: list[Manifest]
    total: int
    names: frozenset[str]
    archive: dict[str, Any] | None


def page(context: ApiContext, session: CallerSession, app: Entry, paging: Paging, accepts: Accepts | None) -> Page:
    """A page of an App's history. Raises errors.ApiError, and HttpProblem where rows of the page are in an archive that does not answer."""
    archive = archive_of(context, session, app)
    if archive is None:
        return _in_cluster(context, session, app, paging, accepts, None)
    if accepts is not None:
        return _in_cluster(context, session, app, paging, accepts, {"rows": None, "says": FILTERED})
    rows.check_listable(context, session, app)
    try:
        found = _merged_page(context, session, app, paging, archive)
    except HttpProblem as problem:
        count = context.index.of(RECORDS).count(groups_of(app))
        if problem.status not in AWAY or paging.sort != "-created_at" or paging.begin >= max(count, 1):
            raise
        return _in_cluster(context, session, app, paging, None, {"rows": None, "says": f"{UNREACHED}{problem}"})
    return found


def row(context: ApiContext, session: CallerSession, app: Entry, uid: str, field: str = "") -> Manifest:
    """A row of the App whole, from wherever it is. Raises HttpProblem 404, also where it is another App's, and errors.ApiError."""
    is_unknown = is_id(uid) and context.index.of(RECORDS).get(uid.lower()) is None
    if is_unknown and (archive := archive_of(context, session, app)) is not None:
        rows.check_listable(context, session, app)
        found = archive.row(uid.lower())
        if found is not None and found["metadata"]["uid"] == uid.lower():
            return found
    return read_row(context, session, app, uid, field)[1]


def before(context: ApiContext, session: CallerSession, app: Entry, after: Manifest) -> Manifest | None:
    """The row that was rolled out before this one. Raises as `row` does."""
    entry = context.index.of(RECORDS).get(after["metadata"]["uid"])
    older = rows.before(context, app, entry) if entry is not None else None
    if older is not None:
        return read_row(context, session, app, older.uid)[1]
    archive = archive_of(context, session, app)
    if archive is None or "sequence" not in after["spec"]:
        return None
    return next((each for each in archive.older_than(after["spec"]["sequence"], rows.READ_MOST) if "pinned" in each["spec"]), None)


def api_for(context: ApiContext, session: CallerSession, app: Entry, restores: str) -> tuple[Api, Manifest | None]:
    """What a deploy is previewed and made with: where it restores a row that is in the archive alone, with that row, which is told. Raises HttpProblem."""
    is_unknown = is_id(restores) and context.index.of(RECORDS).get(restores.lower()) is None
    if not is_unknown or (archive := archive_of(context, session, app)) is None:
        return session.api, None
    found = archive.row(restores.lower())
    if found is None or found["metadata"]["uid"] != restores.lower():
        return session.api, None
    pinned = found["spec"].get("pinned")
    made = WithArchivedRow(session.api, found, archive.flow(pinned["workflowHash"]) if pinned else None)
    return made, made.row


def api_of(context: ApiContext, session: CallerSession, app: Entry, *found: Manifest | None) -> Api:
    """What these rows are compared with: those that are in the archive alone have their flows there, too. Raises HttpProblem."""
    api: Api = session.api
    for row in found:
        if row is not None and is_archived(row) and (archive := archive_of(context, session, app)) is not None:
            pinned = row["spec"].get("pinned")
            api = WithArchivedRow(api, row, archive.flow(pinned["workflowHash"]) if pinned else None)
    return api


def is_archived(row: Manifest) -> bool:
    """Whether a row that was read whole is in the archive alone, which keeps nothing of what was of the cluster."""
    return "resourceVersion" not in row["metadata"]


def flow(context: ApiContext, session: CallerSession, app: Entry, flow_hash: str) -> str | None:
    """A flow from the archive, of an App that has one."""
    archive = archive_of(context, session, app)
    return archive.flow(flow_hash) if archive is not None else None


def _in_cluster(
    context: ApiContext, session: CallerSession, app: Entry, paging: Paging, accepts: Accepts | None, told: dict[str, Any] | None
) -> Page:
    found = rows.page(context, session, app, paging, accepts)
    return Page(found.rows, found.total, frozenset(each["metadata"]["name"] for each in found.rows), told)


def _merged_page(context: ApiContext, session: CallerSession, app: Entry, paging: Paging, archive: Archive) -> Page:
    index = context.index.of(RECORDS)
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
        there = rows.read(context, session, app, entries)
        gone = [entry for entry in entries if entry.uid not in there]
        if not gone or attempt == rows.TRIES - 1:
            break
        for entry in gone:
            index.remove(entry.uid)  # retention let it go, which the index has not heard of yet: now it is in the archive
    of_archive = _read(archive, [each for each in shown if isinstance(each, int)])
    found = [there.get(each.uid) if isinstance(each, Entry) else of_archive.get(each) for each in shown]
    names = frozenset(entry.name for entry in entries)
    return Page([each for each in found if each is not None], total, names, {"rows": archived, "says": None})


def _merged(members: Sequence[Entry], keys: Sequence[Key]) -> list[Entry | int]:
    """The cluster's rows with those of the archive that are as young and not among them, by their place in the archive; newest first."""
    uids, named = {each.uid for each in members}, {(each.sequence, each.name) for each in members}
    between = [(key, at) for at, key in enumerate(keys) if key.uid not in uids and (key.sequence, key.name) not in named]
    merged: list[Entry | int] = []
    for entry in members:
        while between and entry.sequence and between[0][0].sequence > entry.sequence:
            merged.append(between.pop(0)[1])
        merged.append(entry)
    return [*merged, *(at for _, at in between)]


def _read(archive: Archive, places: Sequence[int]) -> dict[int, Manifest]:
    """Archived rows by their places, which lie close together."""
    if not places:
        return {}
    first = min(places)
    return dict(enumerate(archive.rows(first, max(places) - first + 1), first))
