"""Assigns request ids, and writes the API's log: a JSON object a line, with the id of the request that it is about.

A line about a request has the method, the route's template, the status, the duration and the caller's id. It has no token and no body, and
users' text is escaped.
"""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar
from typing import Any

from starlette.types import Scope

from dynamiq_operator.model import json_lines

HEADER = "X-Request-Id"
ACCESS = logging.getLogger("dynamiq.access")
UNMATCHED = "-"
"""The route of a request that was answered before its route was known."""
_REQUEST: ContextVar[str] = ContextVar("request_id", default="")
_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def new_id() -> str:
    return uuid.uuid4().hex


def begin(sent: str | None) -> str:
    """Returns the id of the request that begins in this context: the client's if it is valid, else a new one."""
    request_id = sent if sent is not None and _GIVEN.fullmatch(sent) else new_id()
    _REQUEST.set(request_id)
    return request_id


def current() -> str:
    """Returns the id of the request that this code serves; empty if it serves none."""
    return _REQUEST.get()


def log_access(scope: Scope, status: int, seconds: float, caller: str) -> None:
    """Logs a request. `caller`: the user's id, a hash of the username; empty if it is unknown."""
    route = getattr(scope.get("route"), "path", UNMATCHED)
    fields = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 1), "caller": caller}
    ACCESS.info("request", extra={json_lines.FIELDS: fields})


class JsonLines(json_lines.JsonLines):
    """A formatter of JSON lines with the id of the request that they are about."""

    def context(self) -> dict[str, Any]:
        return {"request_id": request} if (request := current()) else {}
