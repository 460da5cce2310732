"""Makes conditions of Apps and rows, and keeps the times of their transitions. It writes none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dynamiq_operator.model.app_status import PROGRESSING
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.objects import format_time

READY, LIVE, AVAILABLE, CHILDREN = "Ready", "Live", "Available", "ChildrenApplied"
TRIGGERS, OVERRIDDEN, VARIABLES = "TriggersReady", "DeploySpecOverridden", "VariablesResolved"
SLEEP = "Asleep"
"""Type for serverless Apps: True while the App sleeps."""
TRIAL = "Trial"
WARM = "Warm"
"""Type for Apps under strategy Switch: True while a standby is ready."""
RECONCILE_FAILED, STRATEGY_CHANGING = "ReconcileFailed", "StrategyChanging"
"""Types that are in a status only while they are True."""
ARCHIVED = "Archived"
"""Type for Apps with an archive: True if the archive has the rows that retention deletes."""
REDACTION = "RedactionReady"
"""Type that is in a status only while it is False: pods cannot use a redaction pattern, and record no content."""
SUCCEEDED = "Succeeded"
ONE_POD = "OnePod"
"""Reason of Available if the App may have only one pod: Ready's message then explains it."""
ASLEEP = "Asleep"
"""Reason of Available, and so of Ready, if no pod runs and the next call wakes the App."""
DEPENDENTS = (LIVE, CHILDREN, AVAILABLE)
"""The conditions that Ready needs. The first of them that is not True gives Ready its reason."""


def condition(type_: str, status: bool | None, reason: str, message: str) -> Condition:
    """Returns a condition without a time; `status` None stands for Unknown."""
    text = "Unknown" if status is None else str(status)
    return Condition(type=type_, status=text, reason=reason, message=message[:2048], last_transition_time="")


def ready(others: Sequence[Condition]) -> Condition:
    """Returns the condition Ready, derived from the conditions that it depends on."""
    by_type = {each.type: each for each in others}
    first = next((by_type[type_] for type_ in DEPENDENTS if by_type[type_].status != "True"), None)
    if first is not None:
        return condition(READY, False, first.reason, first.message)
    available = by_type[AVAILABLE]
    addition = f"; {available.message}" if available.reason in (ONE_POD, ASLEEP) else ""
    if (waiting := by_type.get(PROGRESSING)) is not None and waiting.reason in set(GuardReason):
        addition = f"; {waiting.message}{addition}"
    return condition(READY, True, ASLEEP if available.reason == ASLEEP else "Serving", f"{by_type[LIVE].message}{addition}")


def dated(conditions: Sequence[Condition], before: Sequence[Condition], now: datetime, generation: int | None) -> tuple[Condition, ...]:
    """Returns the conditions with their transition times: kept if the status is the same, else now."""
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
