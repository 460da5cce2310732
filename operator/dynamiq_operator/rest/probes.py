"""Liveness and readiness probes."""

from __future__ import annotations

from fastapi import APIRouter

from dynamiq_operator.rest.context import ContextOf
from dynamiq_operator.rest.http.encoding import Json
from dynamiq_operator.rest.http.errors import unavailable

router = APIRouter(include_in_schema=False)


@router.get("/livez")
@router.get("/healthz")
async def livez() -> Json:
    """Liveness: the event loop turns. That the API server is away is no reason to start this process again."""
    return Json({"status": "ok"})


@router.get("/readyz")
async def readyz(context: ContextOf) -> Json:
    """Readiness: the index has listed every kind once, and the API server takes this replica's own credentials.

    That the API server does not answer is no reason: the other replicas ask the same one, and without any of them ready callers would get
    no connection in place of a 503 that says why.
    """
    if not context.index.is_ready:
        raise unavailable("this replica is starting")
    if context.index.is_shut_out:
        raise unavailable("the API server does not take the credentials of this replica")
    return Json({"status": "ok"})
