"""Problems as values: children that could not be made, and the failure of the App's last reconcile."""

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
    """The failure of an App's last reconcile; `reason` and `message` are those of its condition."""

    reason: str
    message: str


@dataclass(frozen=True)
class ChildProblem:
    """A child that could not be made.

    - `digest`: for `REFUSED` and `DENIED`, of the manifest that was sent.
    - `may_pass`: True if the same manifest may be accepted later: the API server did not find the manifest itself wrong.
    - `retry_in`: seconds until it is sent again without a change; None if time does not matter.
    - `other_app`: for `TAKEN`, the App that owns the child of this name; empty if no App does.
    """

    reason: ProblemReason
    message: str
    digest: str = ""
    other_app: str = ""
    may_pass: bool = False
    retry_in: float | None = None

    def is_of(self, digest: str) -> bool:
        """Returns True if the problem is that of a manifest with this digest. About a changed manifest nothing is known."""
        return self.digest == digest or self.reason not in (ProblemReason.REFUSED, ProblemReason.DENIED)

    def holds_back(self, digest: str) -> bool:
        """Returns True if a manifest of this digest must not be sent now."""
        return self.is_of(digest) and (self.retry_in is None or self.retry_in > 0)
