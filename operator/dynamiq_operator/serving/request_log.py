"""Assigns ids to requests, and logs a line about each: method, template of the route, status and duration; no token and no body."""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar
from typing import Any

from starlette.types import Scope

from dynamiq_operator.model.json_lines import FIELDS, JsonLines

HEADER = "X-Request-Id"
ACCESS = logging.getLogger("dynamiq.access")
UNMATCHED = "-"
"""The route of a request that was answered before its route was known."""
_REQUEST: ContextVar[str] = ContextVar("request_id", default="")
_VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def begin(sent: str | None) -> str:
    """Returns the id of the request that begins in this context: the client's if it is valid, else a new one."""
    request_id = sent if sent is not None and _VALID.fullmatch(sent) else uuid.uuid4().hex
    _REQUEST.set(request_id)
    return request_id


def current() -> str:
    """Returns the id of the request that this code serves; empty if it serves none."""
    return _REQUEST.get()


def route_of(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", UNMATCHED)


def log_access(scope: Scope, status: int, seconds: float, level: int = logging.INFO, **more: str) -> None:
    """Logs a request. `more`: fields that a server adds."""
    fields = {"method": scope["method"], "route": route_of(scope), "status": status, "ms": round(seconds * 1000, 1), **more}
    ACCESS.log(level, "request", extra={FIELDS: fields})


class RequestJsonLines(JsonLines):
    """A formatter of JSON lines with the id of the request that they are about."""

    def context(self) -> dict[str, Any]:
        return {"request_id": request} if (request := current()) else {}
