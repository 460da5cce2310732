"""Derives the condition of an App's archive. Ready ignores it: rows that wait for the archive block nothing."""

from __future__ import annotations

from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.status.conditions import ARCHIVED, condition

_STAY = "rows beyond history.limit stay in the cluster"


def archived_condition(app: App, archive: ArchiveAnswers, settings: Settings) -> Condition | None:
    """Returns the condition Archived; None for an App without an archive."""
    history = app.spec.history
    if history is None or not history.archive:
        return None
    if settings.recorder is None:
        return condition(ARCHIVED, False, "NoRecorder", f"{_STAY}: the operator has no recorder, set --recorder")
    if archive.problem:
        return condition(ARCHIVED, False, "NotAcknowledged", f"{_STAY} until the archive has them: {archive.problem}")
    return condition(ARCHIVED, True, "HandedOver", "rows leave the cluster once the archive has them")
