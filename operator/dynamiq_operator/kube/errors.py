"""What can go wrong with a request, named where it arises; whether to try again is decided here, once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


class ApiError(Exception):
    """A request that the API server did not carry out. `status` is the HTTP status, 0 where no answer came.

    `causes`: what is wrong with each field, where the API server says so. `retry_after`: seconds that it asks to wait.
    """

    causes: tuple[tuple[str, str], ...] = ()
    retry_after: int | None = None

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFound(ApiError):  # noqa: N818 - named as the API names its reasons
    """There is no such object (404)."""


class AlreadyExists(ApiError):  # noqa: N818
    """An object of that name is there already (409 AlreadyExists)."""


class Conflict(ApiError):  # noqa: N818
    """Somebody wrote the object in between (409 Conflict): observe again."""


class Invalid(ApiError):  # noqa: N818
    """The API server refuses the content (400, 413, 422): sending it again is of no use."""


class Denied(ApiError):  # noqa: N818
    """Not allowed, by rights, by a policy or by a quota (401, 403): it may be allowed later."""


class Unavailable(ApiError):  # noqa: N818
    """No answer, or the API server cannot answer now (429, 5xx)."""


class LostLease(Exception):  # noqa: N818
    """Another replica works now."""


def from_answer(status: int, raw: bytes, asked: str) -> ApiError:
    """The error of an answer: of its Status object, or of whatever else stood in it. `asked`: method and path."""
    causes: Iterable[Mapping[str, Any]] = ()
    try:
        said = json.loads(raw)
        reason, message = str(said.get("reason") or ""), str(said.get("message") or "")
        causes = (said.get("details") or {}).get("causes") or ()
    except (ValueError, AttributeError):
        reason, message = "", raw[:500].decode(errors="replace").strip()
    failure = from_status(status, reason, message or f"{asked}: HTTP {status}")
    failure.causes = tuple((str(cause.get("field") or ""), str(cause.get("message") or "")) for cause in causes)
    return failure


def from_status(status: int, reason: str, message: str) -> ApiError:
    """The error of an HTTP status and of the `reason` of the Status object that came with it."""
    kind: type[ApiError]
    match status:
        case 404:
            kind = NotFound
        case 409:
            kind = AlreadyExists if reason == "AlreadyExists" else Conflict
        case 400 | 413 | 422:
            kind = Invalid
        case 401 | 403:
            kind = Denied
        case _:
            kind = Unavailable
    return kind(message, status)


BACKOFF_FIRST = 0.2
BACKOFF_MOST = 30.0


def backoff(failures: int) -> float:
    """Seconds to wait after the n-th failure in a row, from 1: doubling, capped, for ever."""
    return min(BACKOFF_FIRST * float(2 ** min(failures - 1, 16)), BACKOFF_MOST)
