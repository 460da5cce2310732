"""Counts the open background runs and conversations of an App for a preview. The journal has little time for it: a preview is worth more without the number."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.from_thread

from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.recorder import Query
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.views.background_runs import OpenRunCount
from dynamiq_operator.views.preview import Preview

WITHIN = 0.3
"""Seconds for the count."""
QUERY = [("open", "true"), ("page_size", "1")]
FIRST = [("page_size", "1")]


def with_open_runs(context: ApiContext, session: CallerSession, app_id: str | None, preview: Preview) -> Preview:
    """Returns the preview with the open background runs and conversations, if it means something for them, and there is a journal.

    It is called in a worker thread.
    """
    if app_id is None or not preview.moves_on or not context.journal.is_there:
        return preview
    return preview.with_open_runs(anyio.from_thread.run(_count, context, session, app_id, preview.has_sessions))


async def _count(context: ApiContext, session: CallerSession, app_id: str, has_sessions: bool) -> OpenRunCount | None:
    """Returns the counts; None if the runs cannot be counted in time. An older journal knows no questions, and no conversations."""
    answers: dict[str, Any] = {}

    async def read(what: str, query: Query) -> None:
        with contextlib.suppress(HttpProblem):
            answers[what] = await context.journal.read(session.api.credentials[0], f"/v1/apps/{app_id}/{what}", query)

    with anyio.move_on_after(WITHIN):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, "runs", QUERY)
            tasks.start_soon(read, "questions", FIRST)
            if has_sessions:
                tasks.start_soon(read, "sessions", ())
    try:
        runs = int(answers["runs"]["pagination"]["total_count"])
        return OpenRunCount.read(runs, answers.get("questions"), datetime.now(UTC), answers.get("sessions"))
    except (KeyError, TypeError, ValueError):
        return None
