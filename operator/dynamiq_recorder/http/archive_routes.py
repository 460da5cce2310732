"""Serves the archive of rows: the operator hands over ended rows, and whoever may list rows reads them. ingest.rows verifies them.

POST answers after the commit, with the digests of the archived rows, and since when each is archived. It names rows that are refused; the
operator keeps those.
"""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dynamiq_operator.model.kinds import ROW, WORKFLOW_VERSION
from dynamiq_operator.serving.encoding import Json, dumps
from dynamiq_operator.serving.problems import HttpProblem, invalid_field, unavailable
from dynamiq_recorder.http import body
from dynamiq_recorder.http.context import Context, ContextOf, ReaderOf
from dynamiq_recorder.http.errors import FULL_FOR, unknown
from dynamiq_recorder.http.queries import ArchiveAtQuery, ArchiveKeysQuery, ArchiveQuery
from dynamiq_recorder.identity.apps import KnownApp
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.ingest import rows
from dynamiq_recorder.ingest.rows import Owner
from dynamiq_recorder.model import ArchivedRow
from dynamiq_recorder.reads.times import parsed, shown

FULL_AT = 0.98
"""Fullness of the disk at which no rows are accepted. Above `full_at` there is room for rows alone, above this for deletions alone."""
router = APIRouter(prefix="/v1/apps/{uid}/archive")


@router.post("")
async def take(request: Request, context: ContextOf, uid: str) -> Response:
    user = await context.user(request)
    if not user.is_ours or user.username != context.operator:
        raise HttpProblem(403, "only the operator may hand over rows")
    app = _require_app(context, uid)
    if context.health.fullness is not None and context.health.fullness >= max(context.full_at, FULL_AT):
        raise unavailable("the disk of the store is full: rows are accepted again once there is room", FULL_FOR)
    # The operator sends few bodies at a time, so they need no lane. They are parsed one by one, as large bodies of runs are.
    raw = await body.read(request.headers, request.receive)
    async with context.archives:
        handed_over = await anyio.to_thread.run_sync(rows.from_json, raw)
        known_flows = await context.run_for_sender(context.store.archived_flows, uid, list(rows.named_flows(handed_over)))
        checked = await anyio.to_thread.run_sync(rows.checked, handed_over, Owner(uid, app.namespace, app.name), known_flows)
        outcome = await context.run_for_sender(context.store.archive, checked.rows, checked.flows)
    by_uid = {row.uid: row for row in checked.rows}
    archived = [
        {"uid": uid, "digest": by_uid[uid].digest, "outcome_digest": by_uid[uid].outcome_digest, "archived_at": shown(since)}
        for uid, since in outcome.taken.items()
    ]
    refused = [{"uid": each, "says": why} for each, why in {**checked.refused, **outcome.refused}.items()]
    context.metrics.archived.inc(len(archived))
    context.metrics.not_archived.inc(len(refused))
    return Json({"data": {"archived": archived, "refused": refused}})


@router.get("")
async def list_rows(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[ArchiveQuery, Query()]) -> Response:
    """Lists rows as they were stored, newest first by default."""
    await _require_readable(context, user, uid, ROW.plural, "list")
    try:
        page = await context.run_for_reader(
            lambda: context.store.archived(
                uid, limit=query.limit, offset=query.offset, cursor=query.cursor, newest_first=query.order == "newest"
            )
        )
    except ValueError:
        raise invalid_field("cursor", "use a cursor that a page returned") from None
    return await context.run_for_reader(_rows_answer, [row.content for row in page.rows], page.total, page.cursor)


@router.get("/keys")
async def list_keys(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[ArchiveKeysQuery, Query()]) -> Response:
    """Lists the identities of rows from a sequence on, newest first, including rows that may still be in the cluster."""
    await _require_readable(context, user, uid, ROW.plural, "list")
    keys = await context.run_for_reader(context.store.archived_keys, uid, query.first)
    return await context.answer(
        lambda: [msgspec.to_builtins(each) | {"archived_at": shown(each.archived_at)} for each in keys.keys],
        pagination={"total_count": keys.total},
    )


@router.get("/at")
async def list_around(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[ArchiveAtQuery, Query()]) -> Response:
    """Lists the rows that show what was live at a time, oldest first."""
    await _require_readable(context, user, uid, ROW.plural, "list")
    around = await context.run_for_reader(context.store.archived_around, uid, parsed(query.time))
    return await context.run_for_reader(_rows_answer, [row.content for row in around], len(around), None)


@router.get("/rows/{wanted}")
async def get_row(context: ContextOf, user: ReaderOf, uid: str, wanted: str) -> Response:
    """Returns a row by its uid, or the newest of a name."""
    await _require_readable(context, user, uid, ROW.plural, "get")
    row: ArchivedRow | None = await context.run_for_reader(context.store.archived_row, uid, wanted)
    if row is None:
        raise unknown("archived row", wanted)
    return Response(b'{"data":' + row.content.encode() + b"}", media_type=Json.media_type)


@router.get("/flows/{wanted}")
async def get_flow(context: ContextOf, user: ReaderOf, uid: str, wanted: str) -> Response:
    """Returns a flow by its hash, for users who may read workflow versions in the App's namespace."""
    await _require_readable(context, user, uid, WORKFLOW_VERSION.plural, "get")
    flow = await context.run_for_reader(context.store.archived_flow, uid, wanted)
    if flow is None:
        raise unknown("archived flow", wanted)
    return Json({"data": {"hash": wanted, "flow": flow}})


def _require_app(context: Context, uid: str) -> KnownApp:
    """Returns an App that exists. Raises HttpProblem 404, and NotNow."""
    app = context.apps.get(uid)
    if app is None:
        context.apps.check_listed()
        raise unknown("App", uid)
    return app


async def _require_readable(context: Context, user: User, uid: str, resource: str, verb: str) -> None:
    """Checks that a user may read a resource in an App's namespace; of an App that is missing, in all namespaces.

    Raises HttpProblem 404, the same for a missing App and for a missing right.
    """
    try:
        namespace = _require_app(context, uid).namespace
    except HttpProblem:
        namespace = ""
    if not await context.rights.may_in(user, verb, resource, namespace):
        raise unknown("App", uid)


def _rows_answer(contents: list[str], total: int, cursor: str | None) -> Response:
    """Builds an answer of rows, which are JSON already."""
    pagination = dumps({"total_count": total, "next_cursor": cursor})
    text = b'{"data":[' + ",".join(contents).encode() + b'],"pagination":' + pagination + b"}"
    return Response(text, media_type=Json.media_type)
