"""What a deploy did: a row against what ran before it, or against any other row of its App."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice, takewhile

from fastapi import APIRouter, Request
from starlette.responses import Response

from dynamiq_operator.serving.encoding import dumps
from dynamiq_recorder.compare import compare, figures_of, verdict_of
from dynamiq_recorder.http.context import Context, context_of
from dynamiq_recorder.http.errors import Json, unknown
from dynamiq_recorder.http.queries import ComparisonQueryOf, VerdictsQueryOf
from dynamiq_recorder.http.readers import ReaderOf
from dynamiq_recorder.maturity import is_open, matured, matures_after, told
from dynamiq_recorder.model import Row, RowFigures
from dynamiq_recorder.reads.figures import together
from dynamiq_recorder.store.database import pieces

PREVIOUS = "previous"
BEFORE_MOST = 50
"""Rows that are one baseline."""

router = APIRouter(prefix="/v1/apps/{uid}")


@router.get("/deployments/{row_uid}/comparison")
async def get_comparison(request: Request, user: ReaderOf, uid: str, row_uid: str, query: ComparisonQueryOf) -> Response:
    context = context_of(request)
    await context.app(user, uid, "get")
    rows = await context.ask(context.store.rows, uid)
    row = _row(rows, row_uid)
    baseline = previous(rows, row) if query.baseline == PREVIOUS else (_row(rows, query.baseline),)
    wanted = [each.uid for each in (row, *baseline)]
    found = await context.ask(lambda: context.store.figures(uid, wanted, nodes=True))
    by_uid = {each.row.uid: each for each in found}
    before = _figures(by_uid, baseline)
    counting, matures = await _counting(context, rows, by_uid[row.uid], before, nodes=True, unended=query.unended or 0)

    def made() -> bytes:
        return dumps({"data": told(compare(counting, before), by_uid[row.uid], matures).model_dump(mode="json")})

    return Json(await context.ask(made))


@router.get("/verdicts")
async def list_verdicts(request: Request, user: ReaderOf, uid: str, query: VerdictsQueryOf) -> Response:
    """Of the rows that are known here, in the order asked."""
    context = context_of(request)
    await context.app(user, uid, "get")
    rows = await context.ask(context.store.rows, uid)
    known = {row.uid: row for row in rows}
    asked = [known[each] for each in dict.fromkeys(query.deployment_id) if each in known]
    before = {row.uid: previous(rows, row) for row in asked}
    wanted = list(dict.fromkeys([*(row.uid for row in asked), *(each.uid for rows in before.values() for each in rows)]))
    by_uid: dict[str, RowFigures] = {}
    for part in pieces(wanted):
        by_uid |= {each.row.uid: each for each in await context.ask(context.store.figures, uid, part)}

    others = {row.uid: _figures(by_uid, before[row.uid]) for row in asked}
    counting = {row.uid: (await _counting(context, rows, by_uid[row.uid], others[row.uid]))[0] for row in asked}

    def made() -> bytes:
        found = [(row, verdict_of(counting[row.uid], others[row.uid])) for row in asked]
        # The figures are those of all runs of a row, also of those that do not count yet.
        told = [each.model_copy(update={"figures": figures_of(by_uid[row.uid].sums)}).model_dump(mode="json") for row, each in found]
        return dumps({"data": told})

    return Json(await context.ask(made))


async def _counting(
    context: Context, rows: Sequence[Row], every: RowFigures, other: RowFigures | None, *, nodes: bool = False, unended: int = 0
) -> tuple[RowFigures, int | None]:
    """The figures of the runs of a row that count against another one, and after how many microseconds a run does; None where all count."""
    matures = matures_after(other.sums) if other is not None else None
    now = time.time_ns() // 1000
    if matures is None or not is_open(rows, every.row, now - matures):
        return every, None
    row = every.row
    (mature,) = await context.ask(lambda: context.store.figures(row.app_uid, [row.uid], nodes=nodes, before=now - matures))
    return matured(every, mature, unended, matures), matures


def previous(rows: Sequence[Row], row: Row) -> tuple[Row, ...]:
    """The newest row before one that went live, and those before it that went live with the same flow and runtime; newest first, as `rows`.

    A row that scales what was live does not begin anew: it would have too few runs for the next one to be compared with.
    """
    live = (each for each in rows if each.sequence < row.sequence and each.succeeded)
    newest = next(live, None)
    return (newest, *islice(takewhile(newest.is_pair_of, live), BEFORE_MOST - 1)) if newest is not None else ()


def _figures(by_uid: Mapping[str, RowFigures], rows: Sequence[Row]) -> RowFigures | None:
    return together([by_uid[row.uid] for row in rows]) if rows else None


def _row(rows: Sequence[Row], uid: str) -> Row:
    """Raises HttpProblem 404."""
    for row in rows:
        if row.uid == uid:
            return row
    raise unknown("deployment", uid)
