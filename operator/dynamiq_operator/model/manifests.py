"""Defines manifests as JSON data: API version, phases and times. Imports no pydantic: commands that only read rows need not load it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

GROUP = "dynamiq.getdynamiq.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

ROW_KIND, RUNTIME_KIND, VERSION_KIND, REJECTION_KIND = "Deployment", "Runtime", "WorkflowVersion", "Rejection"
"""Kinds of `model.kinds`, for code that needs no more of them than the name."""
Manifest = dict[str, Any]
"""An API object as JSON data."""


class Phase(StrEnum):
    """The phase of a row's life (`plan/history/lifecycle.py` draws it)."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    LIVE = "Live"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"


CLOSED = (Phase.SUPERSEDED, Phase.FAILED)
"""Phases of rows that are only history: they are no longer watched."""


VARIABLES_HELD = "VariablesHeld"
"""Type of the App's condition that exists only while True: changed variables take effect with the next row only."""


SWITCH = "Switch"
"""`App.spec.rollout.strategy`, if new pods start beside the live ones. Left out, pods are replaced one by one."""
REVERT_SECONDS, REVERT_FAILED_PERCENT = 300, 20
"""The values of `App.spec.rollout.revert` that are left out."""


class RowKind(StrEnum):
    """The kind of a row for a policy: a deploy, promotion or rollback by hand, or an automated one, by Git for example."""

    DEPLOY = "Deploy"
    PROMOTION = "Promotion"
    ROLLBACK = "Rollback"
    GIT = "Git"


class Purpose(StrEnum):
    """The decision. Approve: deploy the row. Resume: deploy a held row. Reject: never deploy it. Withdraw: its author retracts it."""

    APPROVE = "Approve"
    RESUME = "Resume"
    REJECT = "Reject"
    WITHDRAW = "Withdraw"


class GuardReason(StrEnum):
    """Why a row waits."""  # `kubectl explain` shows it

    AWAITING_APPROVAL = "AwaitingApproval"
    FROZEN = "Frozen"
    SOAKING = "Soaking"
    HELD = "Held"
    VERIFYING = "Verifying"  # smoke test: pins have no such guard, but `verify`
    SUSPENDED = "Suspended"
    UNKNOWN = "GuardsUnknown"


TIME_END = "3000-01-01T00:00:00Z"
"""An upper limit of times, so that arithmetic on one cannot overflow."""
_END = datetime(3000, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> datetime:
    """Parses RFC 3339 to a datetime in UTC; a time without zone is UTC. Raises ValueError if invalid, or not before `TIME_END`."""
    try:
        parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
        moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is no time") from error
    if moment >= _END:
        raise ValueError(f"{text} is not before {TIME_END}")
    return moment


def format_time(moment: datetime) -> str:
    """Formats an aware UTC datetime as RFC 3339, to the second, like Kubernetes."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
