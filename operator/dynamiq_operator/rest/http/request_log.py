"""Request ids, and the log of the API: a JSON object a line, with the id of the request that it is about.

A line about a request has the method, the route's template, the status, the time it took and the caller's id: no token, no body, and no
text of a user that is not escaped.
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
"""The route of a request that was answered before it was known to have one."""
_REQUEST: ContextVar[str] = ContextVar("request_id", default="")
_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def new_id() -> str:
    return uuid.uuid4().hex


def begin(given: str | None) -> str:
    """The id of the request that begins in this context: the one that the client sent, where it is one, else a new one."""
    found = given if given is not None and _GIVEN.fullmatch(given) else new_id()
    _REQUEST.set(found)
    return found


def current() -> str:
    """The id of the request that this code serves; empty where it serves none."""
    return _REQUEST.get()


def log_access(scope: Scope, status: int, seconds: float, caller: str) -> None:
    """Writes the line of a request. `caller`: the user's id, a hash of the username; empty where it is not known."""
    route = getattr(scope.get("route"), "path", UNMATCHED)
    fields = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 1), "caller": caller}
    ACCESS.info("request", extra={json_lines.FIELDS: fields})


class JsonLines(json_lines.JsonLines):
    """Lines of JSON with the id of the request that they are about."""

    def context(self) -> dict[str, Any]:
        return {"request_id": request} if (request := current()) else {}
