"""Probes."""

from __future__ import annotations

from fastapi import APIRouter

from dynamiq_operator.rest.context import ContextOf
from dynamiq_operator.rest.http.encoding import Json
from dynamiq_operator.rest.http.errors import unavailable

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Json:
    """The process answers."""
    return Json({"status": "ok"})


@router.get("/readyz")
async def readyz(context: ContextOf) -> Json:
    """Everything has been listed once. It stays so while the API server is away: callers are told to come again, by this process."""
    if not context.index.is_ready:
        raise unavailable("this replica is starting")
    return Json({"status": "ok"})
