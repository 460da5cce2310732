"""Serves calls of an App: the API passes them to the App's Service, with one of the App's Access Keys."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.invoke.reading import target_of
from dynamiq_operator.rest.parts.any_text import ANY_TEXT
from dynamiq_operator.rest.parts.requests import AppId

router = APIRouter(prefix="/v1/apps/{app_id}/invoke", tags=["invoke"])
OTHER_METHODS = ["GET", "PUT", "PATCH", "DELETE"]
RESPONSES = documented(None, 404, 408, 409, 413, 502, 504, says="The App's own response, with its status and body.")


async def invoke(context: ContextOf, session: SessionOf, app_id: AppId, request: Request) -> Response:
    """Calls the App at its root with the request's body, of at most 8 MiB, and returns its response as it arrives.

    Needs the right to read the App's Access Keys.
    """
    target = await anyio.to_thread.run_sync(partial(target_of, context, session, app_id), limiter=context.invoker.threads)
    return await context.invoker.invoke(request, target)


async def invoke_path(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    path: Annotated[str, Path(description="The App's path, with its query.")],  # noqa: ARG001 - it is passed on as it was encoded
    request: Request,
) -> Response:
    """Calls the App at another path, such as v1/runs, by any method."""
    return await invoke(context, session, app_id, request)


for _path, _endpoint in (("", invoke), (f"/{{path:{ANY_TEXT}}}", invoke_path)):
    router.add_api_route(_path, _endpoint, methods=["POST"], responses=RESPONSES, response_class=Response)
    router.add_api_route(_path, _endpoint, methods=OTHER_METHODS, include_in_schema=False, response_class=Response)
