"""What the API server's answers mean: the one place where an answer becomes an error, and where it is said how each is retried.

    answer                            error           in a reconcile of the operator
    --------------------------------  --------------  -----------------------------------------------------------------------
    409 with reason AlreadyExists     AlreadyExists   a child: read, and taken back where it is the App's; else the condition
                                                      says NameTaken. The Secret of Access Keys: left as it is. A row or a run:
                                                      it was created before, which is success; a run that is not this App's is
                                                      NameTaken. What is being deleted, and a claim of a hostname: as Conflict
    409 otherwise, 422 of the uid     Conflict        ends it: another manager wrote the object, or another object has the name
                                                      by now, which a patch with a uid is told as 422; the App is requeued with
                                                      backoff and observed anew. A child's fields that are handed to apply: read
                                                      anew and tried again a few times. A pod's annotation: left out. Of a DELETE:
                                                      another object, left alone
    404, said by an API server        NotFound        of a read: absent. Of a DELETE: success. A pod's annotation: left out.
                                                      Otherwise requeued with backoff
    400, 413, 422                     Invalid         a child: the condition says Refused, with the server's words; sent again with
                                                      `retry_child`, without an end, and at once when its manifest changes. A
                                                      workload that the API server's own validation refuses ends its row, which never
                                                      changes; an admission webhook or policy may think otherwise later. A row is passed
                                                      over meanwhile, and those after it are not
    401, 403                          Denied          a child: the condition says Denied; otherwise the same. A 401 decides nothing
                                                      here: the operator's client reads its login anew, and then says Unavailable
    429, 5xx, any other, no answer    Unavailable     ends it: the App is requeued with backoff

What is "ended" is the group of operations that relies on the one that failed (`plan.groups`); the others are done. Whatever is not
named for a kind of object is said in the App's condition ReconcileFailed, a conflict or a missing answer once it has come back a few
times, and requeues the App with `backoff`, without limit: no error ends the process. An Event that cannot be written ends nothing. For the surfaces, an action whose write can be made over what others
wrote tries again after Conflict or AlreadyExists (`TRIES` times), and then raises NotNow, or, of a promotion, the last error. Every
other error is answered at once: REST answers with the status of `rest`'s table of errors, the plugin with a sentence.
"""

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
    """There is no such object."""


class AlreadyExists(ApiError):  # noqa: N818
    """A create met an object of that name."""


class Conflict(ApiError):  # noqa: N818
    """Another manager wrote the object since it was read, or a precondition does not hold."""


class Invalid(ApiError):  # noqa: N818
    """The content is refused."""

    @property
    def is_final(self) -> bool:
        """Whether the API server's own validation names what is wrong: the same content is refused whenever it is sent.

        An admission webhook or policy answers with any status, and may be of another mind tomorrow; so may whatever stands before the API server.
        """
        return self.status == 422 and bool(self.causes) and not any(said in str(self) for said in _ADMISSION)


class Denied(ApiError):  # noqa: N818
    """Not allowed, by rights, by a policy or by a quota: it may be allowed later."""


class Unavailable(ApiError):  # noqa: N818
    """No answer, or the API server cannot answer now."""


_ADMISSION = ("denied the request", "denied request", "admission webhook")
"""How the API server says that it was a webhook or a policy."""

ANY = ""
"""Every reason of a status that has no line of its own."""

ERRORS: Mapping[tuple[int, str], type[ApiError]] = {
    (400, ANY): Invalid,
    (401, ANY): Denied,
    (403, ANY): Denied,
    (404, ANY): NotFound,
    (409, "AlreadyExists"): AlreadyExists,
    (409, ANY): Conflict,
    (413, ANY): Invalid,
    (422, ANY): Invalid,
}
"""The error of an HTTP status and the `reason` of its Status object. A status that is not here is `Unavailable`."""


SAID_MAX = 8192
"""Characters of what an answer says that are kept: it may repeat all that was sent."""
NOT_SERVED = "404 page not found"
"""How an API server answers for a path that it does not serve."""


def from_answer(status: int, raw: bytes, asked: str) -> ApiError:
    """The error of an answer: of its Status object, or of whatever else its body is. `asked`: method and path.

    That there is no such object is believed of an API server alone: what stands before it says 404 of everything at times.
    """
    causes: Iterable[Mapping[str, Any]] = ()
    try:
        parsed = json.loads(raw)
        reason, message = str(parsed.get("reason") or ""), str(parsed.get("message") or "")
        found = (parsed.get("details") or {}).get("causes") or ()
        causes = [cause for cause in found if isinstance(cause, Mapping)]
        is_status = parsed.get("kind") == "Status"
    except (ValueError, AttributeError, RecursionError, TypeError):
        reason, message = "", raw[:500].decode(errors="replace").strip()
        is_status = message == NOT_SERVED
    said = message[:SAID_MAX] or f"{asked}: HTTP {status}"
    error = from_status(status, reason, said) if is_status or status != 404 else Unavailable(said, status)
    error.causes = tuple((str(cause.get("field") or ""), str(cause.get("message") or "")[:SAID_MAX]) for cause in causes)
    if isinstance(error, Invalid) and any(field == "metadata.uid" for field, _ in error.causes):
        # A patch that names a uid alone meets another object of the name: where it names a resourceVersion, too, this is a 409.
        return Conflict(said, 409)
    return error


def from_status(status: int, reason: str, message: str) -> ApiError:
    """The error of an HTTP status and of the `reason` of the Status object that came with it."""
    kind = ERRORS.get((status, reason)) or ERRORS.get((status, ANY), Unavailable)
    return kind(message, status)


CHILD_FIRST, CHILD_GROWTH, CHILD_MOST = 1.0, 1.1, 300.0


def retry_child(failures: int) -> float:
    """Seconds after which a child that was refused for the n-th time is sent again: a webhook, a quota or a right may have changed.

    About a tenth of the time for which it has been refused: what was wrong for a minute is found to be well within 6 s.
    """
    return min(CHILD_FIRST * CHILD_GROWTH ** min(failures - 1, 100), CHILD_MOST)


BACKOFF_FIRST = 0.2
BACKOFF_MAX = 5.0
"""Seconds after which, at most, something that failed is tried again: what was healed is noticed within these."""


def backoff(failures: int) -> float:
    """Seconds to wait after the n-th consecutive failure, from 1: doubling from `BACKOFF_FIRST` up to `BACKOFF_MAX`, without an end."""
    return min(BACKOFF_FIRST * float(2 ** min(failures - 1, 16)), BACKOFF_MAX)
