"""Manifests as JSON data, their API version, phases and times. No pydantic: a command that only reads rows need not load it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

GROUP = "dynamiq.getdynamiq.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

Manifest = dict[str, Any]
"""An API object as JSON data."""


class Phase(StrEnum):
    """Where a record is in its life (`plan/history/lifecycle.py` draws it)."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    LIVE = "Live"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"


class GuardReason(StrEnum):
    """Why a row waits."""  # `kubectl explain` shows it

    AWAITING_APPROVAL = "AwaitingApproval"
    FROZEN = "Frozen"
    SOAKING = "Soaking"
    HELD = "Held"
    VERIFYING = "Verifying"  # its own cases are asked: no guard of the pins, which have `verify` for it
    SUSPENDED = "Suspended"
    UNKNOWN = "GuardsUnknown"


TIME_END = "3000-01-01T00:00:00Z"
"""Times are earlier than this, so that whatever is added to one is a time, too."""
_END = datetime(3000, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> datetime:
    """RFC 3339 to a datetime of UTC; what names no zone is UTC. Raises ValueError where it is no time, or none before `TIME_END`."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is no time") from error
    if moment >= _END:
        raise ValueError(f"{text} is not before {TIME_END}")
    return moment


def format_time(moment: datetime) -> str:
    """An aware UTC datetime as RFC 3339, to the second, as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
