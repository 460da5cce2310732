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

    For `REFUSED`, `digest` is that of the manifest the API server found invalid. For `TAKEN`, `other_app` is the name of the App
    whose child has the name, empty where it is no child of an App.
    """

    reason: ProblemReason
    message: str
    digest: str = ""
    other_app: str = ""
