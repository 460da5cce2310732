"""Turns errors into the contract's responses: `{"error": {"code", "message", "details"}}`.

`problem_of` chooses the status of every error that is not an HttpProblem, by `STATUSES`. Exceptions are the statuses in `PASSED_ON`, and an
object that is too large to store. An HttpProblem has its status from where it was raised. The middleware raises 400, 408, 413, 415 and 422
for a body, 401 without a token, and 503 while it starts. The lanes raise 429 and 503, a connection 400, 408 and 431 for headers. The router
raises 404 and 405 for a path or method that does not exist.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.routing import Match

from dynamiq_operator.actions.refusals import (
    Changed,
    InvalidField,
    Lacks,
    LeftBehind,
    NotAllowed,
    NotNow,
    Refusal,
    Taken,
    Unknown,
    admission_message,
    refused,
    unknown_object,
)
from dynamiq_operator.kube import errors
from dynamiq_operator.model.wrong_fields import in_words
from dynamiq_operator.serving import problems
from dynamiq_operator.serving.problems import HttpProblem as HttpProblem
from dynamiq_operator.serving.problems import handlers, invalid_fields
from dynamiq_operator.serving.problems import invalid_field as invalid_field
from dynamiq_operator.serving.problems import unavailable as unavailable

STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (Unknown, 404),
    (Taken, 409),
    (Changed, 409),
    (NotNow, 409),
    (NotAllowed, 403),
    (Refusal, 422),
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.Conflict, 409),
    (errors.Denied, 403),
    (errors.Invalid, 422),
    (errors.ApiError, 503),
    (RequestValidationError, 422),
    (Exception, 500),
)
"""The status of each kind of error. The first line that matches counts. `LeftBehind` has its cause's status."""
PASSED_ON = frozenset({401, 413, 429})
"""Statuses of the API server that are passed on, whatever the kind of error."""
LISTED_MOST, SHOWN_MOST = 20, 300
"""Wrong fields that a response lists, and letters of each, at most."""


def unauthorized(message: str = "the token is not valid: send `Authorization: Bearer <token>` with a token of this cluster") -> HttpProblem:
    return problems.unauthorized(message)


def unknown_id(what: str, uid: str, field: str = "") -> HttpProblem:
    """Returns a 404 for an id, the same if it does not exist and if the caller may not see it. `field`: the body's field that holds it."""
    return HttpProblem(404, str(unknown_object(what, uid)), {field: "unknown"} if field else None)


def invalid_request(wrong: Sequence[tuple[str, str]]) -> HttpProblem:
    """Returns a 422 for fields or query parameters, each with its problem. It lists only the first ones, shortened."""
    details: dict[str, Any] = {}
    for where, problem in wrong[:LISTED_MOST]:
        details.setdefault(_shortened(where), _shortened(problem))
    more = [f"and {len(wrong) - LISTED_MOST} more are wrong"] if len(wrong) > LISTED_MOST else []
    return invalid_fields(details, *more)


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_MOST else f"{text[:SHOWN_MOST]}…"


def invalid_body(message: str) -> HttpProblem:
    return HttpProblem(422, message, {"body": message})


@contextlib.contextmanager
def hidden_as_unknown(what: str, uid: str) -> Iterator[None]:
    """Turns NotFound and Denied of the calls inside into an unknown id, so that callers learn nothing about what they may not see."""
    try:
        yield
    except errors.NotFound:
        raise unknown_id(what, uid) from None
    except errors.Denied as error:
        raise (unauthorized() if error.status == 401 else unknown_id(what, uid)) from None


_TOO_LARGE = ("request is too large", "larger than max")
"""Texts of the API server for an object that its storage refuses. The storage accepts less than the server does."""


def problem_of(error: Exception) -> HttpProblem:
    """Returns the response for any error: of the API server, of an action, of validation, or an unexpected one."""
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    match error:
        case HttpProblem():
            return error
        case LeftBehind():
            cause = problem_of(error.cause)
            return HttpProblem(cause.status, f"{cause}; {error.left}", {**cause.details, "app_id": error.uid}, cause.headers)
        case InvalidField():
            return invalid_field(_FIELDS.get(error.field, error.field), error.reason)
        case Changed():
            both = {each.field: {"confirmed": each.confirmed, "now": each.now} for each in error.differences}
            return HttpProblem(status, str(error), both)
        case Lacks():
            return HttpProblem(status, str(error), {"lacking": [each._asdict() for each in error.needs]})
        case Refusal():
            return HttpProblem(status, str(error), {error.field: error.reason} if error.field else None)
        case RequestValidationError():
            return _invalid_request(error)
        case errors.ApiError():
            return _api_error(error.status if error.status in PASSED_ON else status, error)
        case _:
            return HttpProblem(status, "the API failed; its log has the error under this request id")


def _api_error(status: int, error: errors.ApiError) -> HttpProblem:
    if status == 401:
        return unauthorized()
    if status == 429:
        return HttpProblem(status, f"the API server requests a pause: {error}", headers={"Retry-After": str(error.retry_after or 1)})
    if isinstance(error, errors.Invalid):
        return HttpProblem(status, str(refused(error)), {_field(field): cause for field, cause in error.causes})
    if status != 503:
        return HttpProblem(status, admission_message(error) or str(error))
    if any(text in str(error) for text in _TOO_LARGE):
        return invalid_body("make it smaller: the cluster does not store this much in one object, where each quote counts twice")
    return unavailable(str(error), error.retry_after)


def _invalid_request(error: RequestValidationError) -> HttpProblem:
    return invalid_request(
        [
            (
                ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0]),
                in_words(problem),
            )
            for problem in error.errors()
        ]
    )


_FIELDS = {
    "spec.displayName": "name",
    "metadata.name": "name",
    "spec.config.autoscaling.minReplicas": "deployment_config.config.autoscaling.min_replicas",
    "spec.config.autoscaling.maxReplicas": "deployment_config.config.autoscaling.max_replicas",
    "spec.config.autoscaling.targetCPUUtilizationPercentage": "deployment_config.config.autoscaling.target_cpu_utilization_percentage",
    "spec.config.idleSeconds": "deployment_config.config.idle_seconds",
    "spec.config.maxReplicas": "deployment_config.config.max_replicas",
    "spec.config.holdSeconds": "deployment_config.config.hold_seconds",
    "spec.flowUI": "flow_ui",
    "spec.access.type": "access_type",
    "spec.exposure.className": "exposure.class",
    "spec.exposure.tls.secretName": "exposure.tls_secret",
    "spec.exposure.parentRef.name": "exposure.gateway",
    "spec.exposure.parentRef.namespace": "exposure.gateway",
    "spec.exposure.parentRef.sectionName": "exposure.gateway_section",
    "timezone": "config.timezone",
    "schedule": "config.schedule",
    "runAt": "config.run_at",
    "expiresAt": "config.expires_at",
}


def _field(theirs: str) -> str:
    """Returns the contract's name of an object's field."""
    if theirs.startswith("spec.access.origins"):
        return theirs.removeprefix("spec.access.")
    if theirs.startswith("spec.config.resources"):
        return f"deployment_config.config.{theirs.removeprefix('spec.config.')}"
    return _FIELDS.get(theirs) or theirs.removeprefix("spec.") or "body"


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _allowed(request: Request) -> str:
    """Returns the methods of the path over all of its routes."""
    scopes = ({**request.scope, "method": method} for method in METHODS)
    return ", ".join(sorted(each["method"] for each in scopes if any(route.matches(each)[0] is Match.FULL for route in request.app.routes)))


HANDLERS = handlers(problem_of, (errors.ApiError, Refusal, RequestValidationError), "this path does not exist: see /openapi.json", _allowed)
