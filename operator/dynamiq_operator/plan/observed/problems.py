"""What could not be done: children that could not be made, and what failed in the App's last reconcile."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ProblemReason(Enum):
    """Why a child could not be made; the values are reasons of the App's conditions."""

    TAKEN = "NameTaken"
    REFUSED = "Refused"
    DENIED = "Denied"
    HOSTNAME = "HostnameTaken"
    UNREAD = "HostnameUnknown"
    CONTESTED = "HostnameContested"
    ANNOTATION = "AnnotationRefused"
    GATEWAY = "NoGateway"


@dataclass(frozen=True)
class ReconcileFailure:
    """What of an App's last reconcile could not be done; `reason` and `message` are those of the condition that tells of it."""

    reason: str
    message: str


@dataclass(frozen=True)
class ChildProblem:
    """A child that could not be made.

    For `REFUSED` and `DENIED`, `digest` is that of the manifest that was sent; `may_pass`: whether it may be taken some other time as
    it is, since it was not the manifest that the API server itself found wrong. `retry_in`: seconds after which it is sent again, though
    nothing changes; None where that is not a matter of time. For `TAKEN`, `other_app` is the name of the App whose child has the name,
    empty where it is no child of an App.
    """

    reason: ProblemReason
    message: str
    digest: str = ""
    other_app: str = ""
    may_pass: bool = False
    retry_in: float | None = None

    def is_of(self, digest: str) -> bool:
        """Whether the problem is that of a manifest with this digest: of one that is other now, nothing is known."""
        return self.digest == digest or self.reason not in (ProblemReason.REFUSED, ProblemReason.DENIED)

    def holds_back(self, digest: str) -> bool:
        """Whether a manifest of this digest is not to be sent now."""
        return self.is_of(digest) and (self.retry_in is None or self.retry_in > 0)
