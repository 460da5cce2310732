"""Liveness and readiness probes."""

from __future__ import annotations

from fastapi import APIRouter

from dynamiq_operator.rest.context import ContextOf
from dynamiq_operator.rest.http.errors import unavailable
from dynamiq_operator.serving.encoding import Json

router = APIRouter(include_in_schema=False)


@router.get("/livez")
@router.get("/healthz")
async def livez() -> Json:
    """Reports liveness: the event loop runs. An unreachable API server is no reason to restart this process."""
    return Json({"status": "ok"})


@router.get("/readyz")
async def readyz(context: ContextOf) -> Json:
    """Reports readiness: the index has listed every kind once, and the API server accepts this replica's credentials."""
    # An unreachable API server is no reason: with no replica ready, callers would get no connection instead of a 503 with the reason.
    if not context.index.is_ready:
        raise unavailable("this replica is starting")
    if context.index.is_shut_out:
        raise unavailable("the API server does not take the credentials of this replica")
    return Json({"status": "ok"})
