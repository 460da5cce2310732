"""Serves comparisons: a row with the rows before it, or with any other row of its App. `compare` does the tests."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice, takewhile
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from dynamiq_recorder.compare import compare, figures_of, verdict_of
from dynamiq_recorder.http.context import Context, ContextOf, ReaderOf
from dynamiq_recorder.http.errors import unknown
from dynamiq_recorder.http.queries import ComparisonQuery, VerdictsQuery
from dynamiq_recorder.maturity import is_open, matured, matures_after, told
from dynamiq_recorder.model import Row, RowFigures
from dynamiq_recorder.reads.figures import together
from dynamiq_recorder.store.database import pieces

PREVIOUS = "previous"
BEFORE_MOST = 50
"""Most rows of one baseline."""

router = APIRouter(prefix="/v1/apps/{uid}")


@router.get("/deployments/{row_uid}/comparison")
async def get_comparison(
    context: ContextOf, user: ReaderOf, uid: str, row_uid: str, query: Annotated[ComparisonQuery, Query()]
) -> Response:
    await context.app(user, uid, "get")
    rows = await context.run_for_reader(context.store.rows, uid)
    row = _row(rows, row_uid)
    baseline = previous(rows, row) if query.baseline == PREVIOUS else (_row(rows, query.baseline),)
    row_uids = [each.uid for each in (row, *baseline)]
    figures = await context.run_for_reader(lambda: context.store.figures(uid, row_uids, nodes=True))
    by_uid = {each.row.uid: each for each in figures}
    before = _figures(by_uid, baseline)
    counting, matures = await _counting(context, rows, by_uid[row.uid], before, nodes=True, unended=query.unended or 0)
    return await context.answer(lambda: told(compare(counting, before), by_uid[row.uid], matures).model_dump(mode="json"))


@router.get("/verdicts")
async def list_verdicts(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[VerdictsQuery, Query()]) -> Response:
    """Returns the result for each requested row that is known here, in the requested order."""
    await context.app(user, uid, "get")
    rows = await context.run_for_reader(context.store.rows, uid)
    known = {row.uid: row for row in rows}
    requested = [known[each] for each in dict.fromkeys(query.deployment_id) if each in known]
    before = {row.uid: previous(rows, row) for row in requested}
    row_uids = list(dict.fromkeys([*(row.uid for row in requested), *(each.uid for rows in before.values() for each in rows)]))
    by_uid: dict[str, RowFigures] = {}
    for part in pieces(row_uids):
        by_uid |= {each.row.uid: each for each in await context.run_for_reader(context.store.figures, uid, part)}

    others = {row.uid: _figures(by_uid, before[row.uid]) for row in requested}
    counting = {row.uid: (await _counting(context, rows, by_uid[row.uid], others[row.uid]))[0] for row in requested}

    def verdicts() -> list[dict[str, Any]]:
        results = [(row, verdict_of(counting[row.uid], others[row.uid])) for row in requested]
        # The figures cover all runs of a row, including those that do not count yet.
        return [each.model_copy(update={"figures": figures_of(by_uid[row.uid].sums)}).model_dump(mode="json") for row, each in results]

    return await context.answer(verdicts)


async def _counting(
    context: Context, rows: Sequence[Row], every: RowFigures, other: RowFigures | None, *, nodes: bool = False, unended: int = 0
) -> tuple[RowFigures, int | None]:
    """Returns the figures of a row's runs that count against another row, and after how many microseconds a run counts; None if all count."""
    matures = matures_after(other.sums) if other is not None else None
    now = time.time_ns() // 1000
    if matures is None or not is_open(rows, every.row, now - matures):
        return every, None
    row = every.row
    (mature,) = await context.run_for_reader(lambda: context.store.figures(row.app_uid, [row.uid], nodes=nodes, before=now - matures))
    return matured(every, mature, unended, matures), matures


def previous(rows: Sequence[Row], row: Row) -> tuple[Row, ...]:
    """Returns the newest live row before a row, and those directly before it with the same flow and runtime; newest first, as `rows`.

    A row that only scales starts no new baseline: it would have too few runs for the next comparison.
    """
    live = (each for each in rows if each.sequence < row.sequence and each.succeeded)
    newest = next(live, None)
    return (newest, *islice(takewhile(newest.is_pair_of, live), BEFORE_MOST - 1)) if newest is not None else ()


def _figures(by_uid: Mapping[str, RowFigures], rows: Sequence[Row]) -> RowFigures | None:
    return together([by_uid[row.uid] for row in rows]) if rows else None


def _row(rows: Sequence[Row], uid: str) -> Row:
    """Returns the row of a uid. Raises HttpProblem 404."""
    for row in rows:
        if row.uid == uid:
            return row
    raise unknown("deployment", uid)
