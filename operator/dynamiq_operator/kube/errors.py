"""Turns answers of the API server into errors. It is the only place that does, and the table has how each error is retried.

    | answer                         | error         | in a reconcile of the operator
    | ------------------------------ | ------------- | ----------------------------------------------------------------------
    | 409 with reason AlreadyExists  | AlreadyExists | A child: read, and adopted if it is the App's. Otherwise the condition
    |                                |               | says NameTaken. The Secret of Access Keys: left unchanged.
    |                                |               | A row or a run: success, since it was created before.
    |                                |               | A run that is not this App's: NameTaken.
    |                                |               | An object under deletion, a claim of a hostname: as Conflict.
    | other 409, 422 of the uid      | Conflict      | Ends the group. Another manager wrote the object, or another object has
    |                                |               | the name (422: the answer to a patch with a uid).
    |                                |               | The App is requeued with backoff and observed again.
    |                                |               | Fields of a child that are handed to apply: read and tried again a few
    |                                |               | times. A pod's annotation: left out.
    |                                |               | A DELETE: the other object is left alone.
    | 404 of an API server           | NotFound      | A read: absent. A DELETE: success. A pod's annotation: left out.
    |                                |               | Otherwise requeued with backoff.
    | 400, 413, 422                  | Invalid       | A child: the condition says Refused, with the server's message.
    |                                |               | It is sent again with `retry_child`, without limit, and at once when
    |                                |               | its manifest changes. A workload that the API server's own validation
    |                                |               | refuses ends its row, which never changes.
    |                                |               | A refusal by a webhook or a policy does not: it may change later.
    |                                |               | A row: skipped meanwhile; later rows are not.
    | 401, 403                       | Denied        | A child: the condition says Denied. Otherwise as Invalid.
    |                                |               | A 401 has no effect here: the operator's client reads its login again,
    |                                |               | and then raises Unavailable.
    | 429, 5xx, any other, no answer | Unavailable   | Ends the group. The App is requeued with backoff.

An error ends the group of operations that relies on the failed one (`controller.execute.executor`); the others are performed. An error
that the table does not list for a kind of object is reported in the App's condition ReconcileFailed (`controller.reconciling.failures`).
It requeues the App with `backoff` (`controller.workqueue`), without limit. A conflict or a missing answer is reported only after it has
recurred a few times. An apply of a child that meets a conflict is repeated a few times while its spec is unchanged. A create
that meets one is read and adopted (`controller.execute.apply`). No error ends the process. A failed write of an Event ends nothing.

For the surfaces: an action whose write can be repeated over the writes of others tries again after Conflict or AlreadyExists, `TRIES`
times. Then it raises NotNow; a promotion raises the last error. All other errors are returned at once: REST answers with the status of its
table of errors, the plugin with a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


class ApiError(Exception):
    """A request that the API server did not perform. `status`: the HTTP status, 0 without an answer.

    `causes`: the error of each field, if the API server names any. `retry_after`: the seconds to wait, if it names them.
    """

    causes: tuple[tuple[str, str], ...] = ()
    retry_after: int | None = None

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFound(ApiError):  # noqa: N818 - named as the API names its reasons
    """An object that does not exist."""


class AlreadyExists(ApiError):  # noqa: N818
    """A create of an object whose name is taken."""


class Conflict(ApiError):  # noqa: N818
    """A write of an object that another manager wrote since it was read, or whose precondition does not hold."""


class Invalid(ApiError):  # noqa: N818
    """A request whose content is refused."""

    @property
    def is_final(self) -> bool:
        """True if the API server's own validation refused the content: the same content will always be refused."""
        # A webhook, a policy or a proxy may answer with any status, and may decide otherwise later.
        return self.status == 422 and bool(self.causes) and not any(marker in str(self) for marker in _ADMISSION)


class Denied(ApiError):  # noqa: N818
    """A request that rights, a policy or a quota do not allow. It may be allowed later."""


class Forbidden(Denied):
    """A request that the caller's rights, a policy or a quota do not allow: 403. A Denied of 401 is a login that is not accepted."""


class Unavailable(ApiError):  # noqa: N818
    """A request without an answer, or that the API server cannot perform now."""


_ADMISSION = ("denied the request", "denied request", "admission webhook")
"""Parts of a message that show that a webhook or a policy refused."""

ANY = ""
"""All reasons of a status that have no line of their own."""

ERRORS: Mapping[tuple[int, str], type[ApiError]] = {
    (400, ANY): Invalid,
    (401, ANY): Denied,
    (403, ANY): Forbidden,
    (404, ANY): NotFound,
    (409, "AlreadyExists"): AlreadyExists,
    (409, ANY): Conflict,
    (413, ANY): Invalid,
    (422, ANY): Invalid,
}
"""The error of an HTTP status and the `reason` of its Status object. All other statuses are `Unavailable`."""


SAID_MAX = 8192
"""Characters of an answer's message that are kept: it may repeat the whole request."""
NOT_SERVED = "404 page not found"
"""The answer of an API server for a path that it does not serve."""


def from_answer(status: int, raw: bytes, request_name: str) -> ApiError:
    """Returns the error of an answer, from its Status object or from any other body. `request_name`: method and path."""
    causes: Iterable[Mapping[str, Any]] = ()
    try:
        parsed = json.loads(raw)
        reason, message = str(parsed.get("reason") or ""), str(parsed.get("message") or "")
        raw_causes = (parsed.get("details") or {}).get("causes") or ()
        causes = [cause for cause in raw_causes if isinstance(cause, Mapping)]
        is_status = parsed.get("kind") == "Status"
    except (ValueError, AttributeError, RecursionError, TypeError):
        reason, message = "", raw[:500].decode(errors="replace").strip()
        is_status = message == NOT_SERVED
    text = message[:SAID_MAX] or f"{request_name}: HTTP {status}"
    # Only a 404 of an API server itself counts as missing: a proxy before it answers 404 for all paths at times.
    error = from_status(status, reason, text) if is_status or status != 404 else Unavailable(text, status)
    error.causes = tuple((str(cause.get("field") or ""), str(cause.get("message") or "")[:SAID_MAX]) for cause in causes)
    if isinstance(error, Invalid) and any(field == "metadata.uid" for field, _ in error.causes):
        # A patch with a uid met another object of that name. With a resourceVersion as well, the API server answers 409 itself.
        return Conflict(text, 409)
    return error


def from_status(status: int, reason: str, message: str) -> ApiError:
    """Returns the error of an HTTP status and of the `reason` in its Status object."""
    kind = ERRORS.get((status, reason)) or ERRORS.get((status, ANY), Unavailable)
    return kind(message, status)


CHILD_FIRST, CHILD_GROWTH, CHILD_MOST = 1.0, 1.1, 300.0


def retry_child(failures: int) -> float:
    """Returns the seconds to wait after the n-th refusal of a child: about a tenth of the time since its first."""
    # A webhook, a quota or a right may have changed: after a minute of refusals a repair is noticed within 6 s.
    return min(CHILD_FIRST * CHILD_GROWTH ** min(failures - 1, 100), CHILD_MOST)


BACKOFF_FIRST = 0.2
BACKOFF_MAX = 5.0
"""Seconds after which a failed operation is tried again at most: a repair is noticed within these."""


def backoff(failures: int, first: float = BACKOFF_FIRST, most: float = BACKOFF_MAX) -> float:
    """Returns the seconds to wait after the n-th consecutive failure, from 1. They double from `first` up to `most`."""
    return min(first * 2.0 ** min(failures - 1, 16), most)
