"""Serves the shapes of an App's inputs, for whoever may read its runs or deploy it. Nobody learns a value."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from dynamiq_operator.model.shapes import CallerShapes, Shapes
from dynamiq_recorder.http.context import ContextOf, ReaderOf
from dynamiq_recorder.http.queries import ShapesQuery
from dynamiq_recorder.store.results import CountedShapes

router = APIRouter(prefix="/v1/apps/{uid}")


@router.get("/shapes")
async def get_shapes(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[ShapesQuery, Query()]) -> Response:
    app = await context.app_of_deployer(user, uid)
    since = query.since(time.time_ns() // 1000)
    counted = await context.run_for_reader(context.store.shapes, uid, since, query.field if app.counts_shapes else None)
    return await context.answer(lambda: asdict(_shown(counted, query.days, enabled=app.counts_shapes)))


def _shown(counted: CountedShapes, days: int, *, enabled: bool) -> Shapes:
    callers = tuple(
        CallerShapes(key=each.key or None, trigger=each.trigger or None, runs=each.runs, others=each.left_out, fields=each.fields)
        for each in counted.callers
    )
    runs = sum(each.runs for each in callers)
    # Deleted runs stay counted among the shapes, and are out of the rollups.
    return Shapes(enabled=enabled, days=days, recorded=max(counted.recorded, runs), runs=runs, callers=callers)
