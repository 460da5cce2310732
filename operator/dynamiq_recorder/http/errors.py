"""Converts errors to responses of the management API's format: `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dynamiq_operator.serving.encoding import dumps
from dynamiq_operator.serving.problems import HttpProblem as HttpProblem
from dynamiq_recorder.identity.tokens import NotNow, Unauthorized
from dynamiq_recorder.identity.writers import Forbidden
from dynamiq_recorder.ingest.queue import Closed
from dynamiq_recorder.ingest.shares import Full
from dynamiq_recorder.ingest.spans import NotReadable
from dynamiq_recorder.store.interface import Unavailable

TOLD_MOST, SHOWN_MOST = 20, 300
RETRY_AFTER, FULL_FOR = 2, 60
"""Seconds after which senders retry; the second while the disk is full."""
CLOSES = {"Connection": "close"}
"""Headers of an answer before which the body was not read to its end."""

log = logging.getLogger(__name__)


class Json(Response):
    """A JSON response. Bytes are JSON already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else dumps(content)


def unauthorized() -> HttpProblem:
    message = "send `Authorization: Bearer <token>` or X-Dynamiq-Token with a token of this cluster"
    return HttpProblem(401, message, headers={"WWW-Authenticate": "Bearer"})


def unavailable(message: str, after: int = RETRY_AFTER) -> HttpProblem:
    return HttpProblem(503, message, headers={"Retry-After": str(after)})


def invalid(field: str, message: str) -> HttpProblem:
    return HttpProblem(422, f"{field}: {message}", {field: message})


def unknown(what: str, uid: str) -> HttpProblem:
    """Returns a 404, the same for an object that is missing and for one that the caller may not see."""
    return HttpProblem(404, f"there is no {what} {uid[:64]}")


def problem_of(error: Exception) -> HttpProblem:
    """Returns the response to any error."""
    match error:
        case HttpProblem():
            return error
        case Unauthorized():
            return unauthorized()
        case Forbidden():
            return HttpProblem(403, str(error))
        case NotReadable():
            return HttpProblem(400, str(error))
        case NotNow():
            return unavailable(f"{error}: try again")
        case Full():
            return HttpProblem(429, "more runs arrive than can be stored now: try again", headers={"Retry-After": "1"})
        case Closed():
            return unavailable("this recorder is stopping: try again", 1)
        case Unavailable():
            log.warning("the store cannot be read: %s", error)
            return unavailable("the store of runs is not available: try again", 5)
        case RequestValidationError():
            return _invalid_request(error)
        case _:
            log.error("a request failed", exc_info=error)
            return HttpProblem(500, "the recorder failed; its log has the error")


def _invalid_request(error: RequestValidationError) -> HttpProblem:
    details: dict[str, str] = {}
    for problem in error.errors()[:TOLD_MOST]:
        where = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
        says = "this field or query parameter does not exist" if problem["type"] == "extra_forbidden" else problem["msg"]
        details.setdefault(where[:SHOWN_MOST], says[:SHOWN_MOST])
    return HttpProblem(422, "; ".join(f"{where}: {says}" for where, says in details.items()), details)


async def answer(_: Request, error: Exception) -> Response:
    return problem_of(error).response()


async def answer_http(request: Request, error: Exception) -> Response:
    """Handles an unknown path, or a method that the path does not have."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    says = {404: "this path does not exist", 405: f"this path has no {request.method}: see the header Allow"}
    return HttpProblem(error.status_code, says.get(error.status_code, str(error.detail)), headers=error.headers).response()


HANDLERS: dict[Any, Any] = {
    **dict.fromkeys((HttpProblem, Unauthorized, Forbidden, NotReadable, NotNow, Full, Closed, Unavailable, RequestValidationError), answer),
    HTTPException: answer_http,
}
