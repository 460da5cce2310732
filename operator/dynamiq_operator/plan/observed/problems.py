"""Children that could not be made, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

ChildKey = tuple[str, str]
"""Kind and name of a child."""


class Hindrance(Enum):
    """What keeps a child from being made."""

    TAKEN = "NameTaken"
    REFUSED = "Refused"
    DENIED = "Denied"
    HOSTNAME = "HostnameTaken"
    GATEWAY = "NoGateway"


@dataclass(frozen=True)
class ChildProblem:
    """A child that could not be made. For `REFUSED`, `digest` is that of the manifest the API server found invalid."""

    hindrance: Hindrance
    message: str
    digest: str = ""
