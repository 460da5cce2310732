"""What a deploy did: a row against the one before it, or against any other of its App."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from dynamiq_recorder.compare import compare, verdict_of
from dynamiq_recorder.http.context import context_of
from dynamiq_recorder.http.errors import Json, unknown
from dynamiq_recorder.http.queries import ComparisonQueryOf, VerdictsQueryOf
from dynamiq_recorder.model import Row

PREVIOUS = "previous"

router = APIRouter(prefix="/v1/apps/{uid}")


@router.get("/deployments/{row_uid}/comparison")
async def get_comparison(request: Request, uid: str, row_uid: str, query: ComparisonQueryOf) -> Response:
    context, user = context_of(request), await context_of(request).user(request)
    await context.app(user, uid, "get")
    rows = await context.ask(context.store.rows, uid)
    row = _row(rows, row_uid)
    baseline = previous(rows, row) if query.baseline == PREVIOUS else _row(rows, query.baseline)
    wanted = [row.uid] + ([baseline.uid] if baseline is not None else [])
    found = await context.ask(lambda: context.store.figures(uid, wanted, nodes=True))
    by_uid = {each.row.uid: each for each in found}
    compared = await anyio.to_thread.run_sync(compare, by_uid[row.uid], by_uid[baseline.uid] if baseline is not None else None)
    return Json({"data": compared.model_dump(mode="json")})


@router.get("/verdicts")
async def list_verdicts(request: Request, uid: str, query: VerdictsQueryOf) -> Response:
    """Of the rows that are known here, in the order asked."""
    context, user = context_of(request), await context_of(request).user(request)
    await context.app(user, uid, "get")
    rows = await context.ask(context.store.rows, uid)
    known = {row.uid: row for row in rows}
    asked = [known[each] for each in dict.fromkeys(query.deployment_id) if each in known]
    before = {row.uid: previous(rows, row) for row in asked}
    wanted = dict.fromkeys([*(row.uid for row in asked), *(each.uid for each in before.values() if each is not None)])
    by_uid = {each.row.uid: each for each in await context.ask(context.store.figures, uid, list(wanted))}

    def made() -> list[dict[str, Any]]:
        verdicts = []
        for row in asked:
            baseline = before[row.uid]
            found = verdict_of(by_uid[row.uid], by_uid[baseline.uid] if baseline is not None else None)
            verdicts.append(found.model_dump(mode="json"))
        return verdicts

    return Json({"data": await anyio.to_thread.run_sync(made)})


def previous(rows: Sequence[Row], row: Row) -> Row | None:
    """The newest row before one that went live. `rows`: newest first."""
    return next((each for each in rows if each.sequence < row.sequence and each.succeeded), None)


def _row(rows: Sequence[Row], uid: str) -> Row:
    """Raises HttpProblem 404."""
    for row in rows:
        if row.uid == uid:
            return row
    raise unknown("deployment", uid)
