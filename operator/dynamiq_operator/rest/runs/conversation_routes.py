"""Serves the open conversations of an App by row. The journal counts them; the index knows the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.background_runs import RowConversations
from dynamiq_operator.model.runs import RunRow
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.models import All
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.kube.entries import Entry, owned_by
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.runs.recorder_paths import path_of
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["runs"], route_class=StrictRoute)


@router.get("/conversations", responses=documented(All[RowConversations], 404, 501))
async def conversations(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the open conversations of an App with spec.sessions, by the row that answers them, the newest row first.

    It names no session: /v1/apps/{app_id}/sessions lists those of recorded runs.
    """
    path = await path_of(context, session, app_id, context.journal)
    counts = (await context.journal.read(session.api.credentials[0], f"{path}/sessions"))["data"]
    app = context.find(APPS, app_id)
    # Not by pins, which the index does not have: a count names the newest row of its pins.
    rows = {entry.sequence: entry for entry in context.index.of(ROWS).group(owned_by(app.namespace, app.uid))} if counts else {}
    shown = [_with_row(each, rows.get(each["sequence"] or 0)) for each in counts]
    return Json({"data": sorted(shown, key=lambda each: -(each["sequence"] or 0))})


def _with_row(count: Mapping[str, Any], entry: Entry | None) -> dict[str, Any]:
    sequence, version = count["sequence"], entry.row.version or None if entry is not None and entry.row is not None else None
    row = RunRow(sequence=sequence, version=version).model_dump() if sequence is not None else None
    return {**count, "row": row, "deployment_id": entry.uid if entry is not None else None}
