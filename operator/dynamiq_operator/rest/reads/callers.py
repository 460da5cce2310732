"""Counts for a preview the callers that a version may break. The recorder has little time for it: a preview is worth more without the number."""

from __future__ import annotations

import anyio
import anyio.from_thread

from dynamiq_operator.model.breaking import AWAY, DAYS, DENIED, NO_RECORDER
from dynamiq_operator.model.shapes import Shapes
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.views.preview import Preview

WITHIN = 0.28
"""Seconds for the count."""


def with_callers(context: ApiContext, session: CallerSession, app_id: str | None, preview: Preview) -> Preview:
    """Returns the preview with the callers that its version may break, or why they are unknown.

    It is called in a worker thread.
    """
    if app_id is None or not (fields := preview.fields_to_count):
        return preview
    if not context.recorder.is_there:
        return preview.with_callers(None, NO_RECORDER)
    return preview.with_callers(*anyio.from_thread.run(_shapes, context, session, app_id, fields))


async def _shapes(context: ApiContext, session: CallerSession, app_id: str, fields: tuple[str, ...]) -> tuple[Shapes | None, str]:
    query = [("days", str(DAYS)), *(("field", each) for each in fields)]
    try:
        with anyio.fail_after(WITHIN):
            answer = await context.recorder.read(session.api.credentials[0], f"/v1/apps/{app_id}/shapes", query)
        return Shapes.of(answer["data"]), ""
    except HttpProblem as problem:
        return None, DENIED if problem.status in (403, 404) else AWAY
    except (TimeoutError, KeyError, TypeError, ValueError):
        return None, AWAY
