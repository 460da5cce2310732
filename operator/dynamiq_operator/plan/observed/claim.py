"""The claim of an App's hostname, as observed. `plan.children.hostnames` decides about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from dynamiq_operator.model.objects import Manifest


class ClaimState(Enum):
    """The owner of the App's hostname.

    - `FREE`: no App claims it, and no route serves it, except perhaps one of this App.
    - `OURS`: this App claims it. `HELD`: another App claims it, or a foreign route serves it.
    - `ABANDONED`: the App that claims it no longer wants it.
    - `STALE`: another App claims it, but this one has the older claim and serves the hostname.
    - `CONTESTED`: another App claims it, but a route of this one has always served it.
    - `UNKNOWN`: the claim could not be read.
    """

    NOT_NEEDED = "not needed"
    FREE = "free"
    OURS = "ours"
    HELD = "held"
    ABANDONED = "abandoned"
    STALE = "stale"
    CONTESTED = "contested"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class HostnameClaim:
    """The claim of the App's hostname.

    - `holder`: namespace and name of the App that has it.
    - `released_at`: since when its holder no longer wants it.
    - `raw`: the claim if it may be written.
    - `stranger`: without a claim, the kind of a foreign route that serves the hostname.
    - `since`: since when a route of this App serves it, if that decides. `others`: the Apps that also serve it then.
    - `unread`: why it could not be read.
    """

    state: ClaimState = ClaimState.NOT_NEEDED
    holder: tuple[str, str] | None = None
    released_at: datetime | None = None
    raw: Manifest | None = None
    stranger: str = "Ingress"
    since: datetime | None = None
    others: tuple[tuple[str, str], ...] = ()
    unread: str = ""
