"""Conditions of Apps and rows: how one is made, and since when it has had its status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dynamiq_operator.model.app import PROGRESSING
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.objects import format_time

READY, LIVE, AVAILABLE, CHILDREN = "Ready", "Live", "Available", "ChildrenApplied"
TRIGGERS, OVERRIDDEN, VARIABLES = "TriggersReady", "DeploySpecOverridden", "VariablesResolved"
SLEEP = "Asleep"
"""Of a serverless App: whether it sleeps."""
TRIAL = "Trial"
WARM = "Warm"
"""Whether a version is kept warm, of Apps under strategy Switch."""
RECONCILE_FAILED, STRATEGY_CHANGING = "ReconcileFailed", "StrategyChanging"
"""Stand in a status only while they are True."""
ARCHIVED = "Archived"
"""Of an App with an archive: whether it has what retention lets go."""
REDACTION = "RedactionReady"
"""Stands in a status only while it is False: pods cannot take out what the App asks for, and so record no content."""
SUCCEEDED = "Succeeded"
ONE_POD = "OnePod"
"""Reason of Available where the App may have no more than one pod: Ready's message then says what that means."""
ASLEEP = "Asleep"
"""Reason of Available, and so of Ready, where no pod runs and the next call wakes the App."""
DEPENDENTS = (LIVE, CHILDREN, AVAILABLE)
"""What Ready needs, in the order in which the first that is not True gives its reason."""


def condition(type_: str, status: bool | None, reason: str, message: str) -> Condition:
    """A condition without a time yet; None stands for Unknown."""
    text = "Unknown" if status is None else str(status)
    return Condition(type=type_, status=text, reason=reason, message=message[:2048], last_transition_time="")


def ready(others: Sequence[Condition]) -> Condition:
    """Ready, derived from the conditions that it depends on, here alone."""
    by_type = {each.type: each for each in others}
    first = next((by_type[type_] for type_ in DEPENDENTS if by_type[type_].status != "True"), None)
    if first is not None:
        return condition(READY, False, first.reason, first.message)
    available = by_type[AVAILABLE]
    more = f"; {available.message}" if available.reason in (ONE_POD, ASLEEP) else ""
    if (waiting := by_type.get(PROGRESSING)) is not None and waiting.reason in set(GuardReason):
        more = f"; {waiting.message}{more}"
    return condition(READY, True, ASLEEP if available.reason == ASLEEP else "Serving", f"{by_type[LIVE].message}{more}")


def dated(conditions: Sequence[Condition], before: Sequence[Condition], now: datetime, generation: int | None) -> tuple[Condition, ...]:
    """The conditions with their transition times: unchanged where the status is the same, else now."""
    known = {each.type: each for each in before}
    return tuple(
        each.model_copy(
            update={
                "last_transition_time": old.last_transition_time
                if (old := known.get(each.type)) and old.status == each.status
                else format_time(now),
                "observed_generation": generation,
            }
        )
        for each in conditions
    )
