"""Converts errors to responses of the management API's format: `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

import logging

from fastapi.exceptions import RequestValidationError

from dynamiq_operator.serving import problems
from dynamiq_operator.serving.problems import HttpProblem, handlers, invalid_fields, unavailable
from dynamiq_recorder.identity.tokens import NotNow, Unauthorized
from dynamiq_recorder.identity.writers import Forbidden
from dynamiq_recorder.ingest.queue import Closed
from dynamiq_recorder.ingest.shares import Full
from dynamiq_recorder.ingest.spans import NotReadable
from dynamiq_recorder.store.results import Unavailable

LISTED_MOST, SHOWN_MOST = 20, 300
FULL_FOR = 60
"""Seconds after which senders retry while the disk is full."""

log = logging.getLogger(__name__)


def unauthorized() -> HttpProblem:
    return problems.unauthorized("send `Authorization: Bearer <token>` or X-Dynamiq-Token with a token of this cluster")


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
            log.warning("the store is not available: %s", error)
            return unavailable("the store of runs is not available: try again", 5)
        case RequestValidationError():
            return _invalid_request(error)
        case _:
            return HttpProblem(500, "the recorder failed; its log has the error")


def _invalid_request(error: RequestValidationError) -> HttpProblem:
    details: dict[str, str] = {}
    for problem in error.errors()[:LISTED_MOST]:
        where = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
        says = "this field or query parameter does not exist" if problem["type"] == "extra_forbidden" else problem["msg"]
        details.setdefault(where[:SHOWN_MOST], says[:SHOWN_MOST])
    return invalid_fields(details)


HANDLERS = handlers(
    problem_of,
    (Unauthorized, Forbidden, NotReadable, NotNow, Full, Closed, Unavailable, RequestValidationError),
    "this path does not exist",
)
