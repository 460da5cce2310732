"""Converts errors to responses, as the recorder does, with the codes of the journal's own refusals."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError

from dynamiq_operator.serving.problems import HttpProblem, handlers, unavailable
from dynamiq_recorder.http import errors as recorder
from dynamiq_recorder.identity.tokens import NotNow, Unauthorized
from dynamiq_recorder.ingest.shares import Full
from dynamiq_recorder.journal.committer import Busy, Closed
from dynamiq_recorder.journal.model import Refused
from dynamiq_recorder.store.results import Unavailable

STATUSES = {
    "idempotency_key_reused": 422,
    "too_many_runs": 429,
    "checkpoint_too_large": 413,
    "validation_error": 422,
    **dict.fromkeys(("no_such_request", "not_found"), 404),
    **dict.fromkeys(("already_answered", "run_ended", "run_held", "run_rejected", "not_held", "not_ended", "moved"), 409),
}
RETRIES_AFTER = "5"
"""Seconds after which a run that was one too many is sent again."""


def disk_full() -> HttpProblem:
    headers = {"Retry-After": str(recorder.FULL_FOR)}
    message = "the journal's disk is nearly full: runs are accepted again once there is room"
    return HttpProblem(503, message, headers=headers, code="disk_full")


def problem_of(error: Exception) -> HttpProblem:
    match error:
        case HttpProblem():
            return error
        case Refused():
            status = STATUSES[error.code]
            headers = {"Retry-After": RETRIES_AFTER} if status == 429 else None
            return HttpProblem(status, str(error), error.details, headers, code=error.code)
        case Busy() | Full():
            return HttpProblem(429, "more arrives than can be stored now: try again", headers={"Retry-After": "1"})
        case Closed():
            return unavailable("this journal is stopping: try again", 1)
        case Unavailable() | Unauthorized() | NotNow() | RequestValidationError():
            return recorder.problem_of(error)
        case _:
            return HttpProblem(500, "the journal failed; its log has the error")


HANDLERS = handlers(
    problem_of, (Refused, Busy, Full, Closed, Unavailable, Unauthorized, NotNow, RequestValidationError), "this path does not exist"
)
