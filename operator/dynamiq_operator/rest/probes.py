"""Liveness and readiness probes."""

from __future__ import annotations

from fastapi import APIRouter

from dynamiq_operator.rest.context import ContextOf
from dynamiq_operator.rest.http.encoding import Json
from dynamiq_operator.rest.http.errors import unavailable

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Json:
    """Liveness: the process answers."""
    return Json({"status": "ok"})


@router.get("/readyz")
async def readyz(context: ContextOf) -> Json:
    """Readiness: the index has listed every kind once. It stays ready while the API server is away, and answers 503 itself."""
    if not context.index.is_ready:
        raise unavailable("this replica is starting")
    return Json({"status": "ok"})
