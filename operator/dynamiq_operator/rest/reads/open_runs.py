"""Counts the open background runs of an App for a preview. The journal has little time for it: a preview is worth more without the number."""

from __future__ import annotations

import anyio
import anyio.from_thread

from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.views.preview import Preview

WITHIN = 0.3
"""Seconds for the count."""
QUERY = [("open", "true"), ("page_size", "1")]


def with_open_runs(context: ApiContext, session: CallerSession, app_id: str | None, preview: Preview) -> Preview:
    """Returns the preview with the number of open background runs, if it means something for them, and there is a journal.

    It is called in a worker thread.
    """
    if app_id is None or not preview.moves_on or not context.journal.is_there:
        return preview
    return preview.with_open_runs(anyio.from_thread.run(_count, context, session, app_id))


async def _count(context: ApiContext, session: CallerSession, app_id: str) -> int | None:
    try:
        with anyio.move_on_after(WITHIN):
            answer = await context.journal.read(session.api.credentials[0], f"/v1/apps/{app_id}/runs", QUERY)
            return int(answer["pagination"]["total_count"])
    except (HttpProblem, KeyError, TypeError, ValueError):
        pass
    return None
