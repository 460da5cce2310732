"""Derives the condition of an App's archive. Ready ignores it: rows that wait for the archive block nothing."""

from __future__ import annotations

from dynamiq_operator.model.base import Condition
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.status.conditions import ARCHIVED, condition

_STAY = "rows beyond history.limit stay in the cluster"


def archived_condition(context: Context) -> Condition | None:
    """Returns the condition Archived; None for an App without an archive."""
    history = context.app.spec.history
    if history is None or not history.archive:
        return None
    if context.settings.recorder is None:
        return condition(ARCHIVED, False, "NoRecorder", f"{_STAY}: the operator has no recorder, set --recorder")
    if context.snapshot.archive.problem:
        return condition(ARCHIVED, False, "NotAcknowledged", f"{_STAY} until the archive has them: {context.snapshot.archive.problem}")
    return condition(ARCHIVED, True, "HandedOver", "rows leave the cluster once the archive has them")
