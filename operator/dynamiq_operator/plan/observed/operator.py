"""The operator's own state, as far as decisions about an App need it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dynamiq_operator.plan.observed.problems import ReconcileFailure


@dataclass(frozen=True)
class OperatorState:
    """The operator that observed the App."""

    account: str = ""
    """The operator's user name at the API server, if a decision needs it."""
    unattended_until: datetime | None = None
    """The end of the last time in which no operator could work, such as an outage of the API server; None if there was none."""
    failure: ReconcileFailure | None = None
    """The part of the App's last reconcile that failed."""
