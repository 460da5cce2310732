"""What goes wrong, in the contract's shape: `{"error": {"code", "message", "details"}}`. The one place that chooses a status."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from starlette.responses import Response

from dynamiq_operator.actions.refusals import NotAllowed, Refusal, Taken, Unknown
from dynamiq_operator.kube import errors
from dynamiq_operator.rest.kube.client import RETRY_AFTER

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "validation_error",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}
"""The machine word of each status."""


class HttpProblem(Exception):  # noqa: N818 - what is answered is no failure of the program
    """An answer that is not what was asked for. `details`: by field, what is wrong with it."""

    def __init__(
        self, status: int, message: str, details: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.details, self.headers = status, dict(details or {}), dict(headers or {})

    def response(self) -> Response:
        return Json(
            {"error": {"code": CODES.get(self.status, "error"), "message": str(self), "details": self.details}}, self.status, self.headers
        )


class Json(Response):
    """JSON that was prepared by hand: no model looks at it again."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status, headers)

    def render(self, content: Any) -> bytes:
        """Bytes go as they are."""
        return content if isinstance(content, bytes) else dumps(content)


def dumps(content: Any) -> bytes:
    """Compact JSON. A lone surrogate, which is no UTF-8, goes as its escape."""
    try:
        return orjson.dumps(content)
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(content, separators=(",", ":")).encode()


def unauthorized(message: str = "the token is not valid: send `Authorization: Bearer <token>` with a token of this cluster") -> HttpProblem:
    return HttpProblem(401, message, headers={"WWW-Authenticate": "Bearer"})


def unknown_id(what: str, uid: str, field: str = "") -> HttpProblem:
    """404 of an id; what the caller may not see answers the same."""
    return HttpProblem(404, f"no {what} has the id {uid}, or you may not see it", {field: "unknown"} if field else None)


def invalid_field(field: str, message: str) -> HttpProblem:
    return HttpProblem(422, f"{field}: {message}", {field: message})


@contextlib.contextmanager
def hidden_as_unknown(what: str, uid: str) -> Iterator[None]:
    """What the caller may not see answers as an unknown id does."""
    try:
        yield
    except errors.NotFound:
        raise unknown_id(what, uid) from None
    except errors.Denied as error:
        raise (unauthorized() if error.status == 401 else unknown_id(what, uid)) from None


def unavailable(message: str, after: int | None = None) -> HttpProblem:
    return HttpProblem(503, message, headers={"Retry-After": str(after or RETRY_AFTER)})


_TOO_LARGE = ("request is too large", "larger than max")
"""How an API server passes on that its store, which takes less than it does, refused an object."""


def problem_of(error: errors.ApiError | Refusal) -> HttpProblem:
    """The answer for what the API server or an action refuses."""
    if isinstance(error, Refusal):
        return _refusal(error)
    if error.status == 401:
        return unauthorized()
    if error.status == 429:
        return HttpProblem(429, f"the API server asks to wait: {error}", headers={"Retry-After": str(error.retry_after or 1)})
    match error:
        case errors.NotFound():
            return HttpProblem(404, str(error))
        case errors.AlreadyExists() | errors.Conflict():
            return HttpProblem(409, str(error))
        case errors.Denied():
            return HttpProblem(403, str(error))
        case errors.Invalid():
            return HttpProblem(413 if error.status == 413 else 422, _said(error), {_field(field): said for field, said in error.causes})
        case _ if any(said in str(error) for said in _TOO_LARGE):
            message = "this is more than the cluster stores in one object, where each quote counts twice: make it smaller"
            return HttpProblem(422, message, {"body": message})
        case _:
            return unavailable(str(error), error.retry_after)


def _refusal(refusal: Refusal) -> HttpProblem:
    status = {Unknown: 404, Taken: 409, NotAllowed: 403}.get(type(refusal), 422)
    return HttpProblem(status, str(refusal), {refusal.field: str(refusal)} if refusal.field else None)


_FIELDS = {
    "spec.displayName": "name",
    "metadata.name": "name",
    "spec.config.autoscaling.minReplicas": "deployment_config.config.autoscaling.min_replicas",
    "spec.config.autoscaling.maxReplicas": "deployment_config.config.autoscaling.max_replicas",
    "spec.config.autoscaling.targetCPUUtilizationPercentage": "deployment_config.config.autoscaling.target_cpu_utilization_percentage",
    "spec.flowUI": "flow_ui",
}


def _field(theirs: str) -> str:
    """A field of an object as the contract names it."""
    return _FIELDS.get(theirs) or theirs.removeprefix("spec.") or "body"


def _said(error: errors.Invalid) -> str:
    _, found, reason = str(error).partition(" is invalid: ")
    return reason if found else str(error)
