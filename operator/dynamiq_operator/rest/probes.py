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
    """Readiness: the index has listed every kind once, and is fed: for as long as it is not, another replica may do better."""
    if not context.index.is_ready:
        raise unavailable("this replica is starting")
    if (silent := context.index.unfed()) is not None:
        raise unavailable(f"this replica does not reach the API server: {silent} are not watched")
    return Json({"status": "ok"})
