"""Derives a failed reconcile's condition and Event. They are written without the rest of the status, which needs a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dynamiq_operator.model.app_status import LiveRow
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import App, Manifest, Unreadable
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ReconcileFailure
from dynamiq_operator.plan.operations import Operation, SetAppConditions
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.rows.numbering import refused_rows
from dynamiq_operator.plan.status.conditions import RECONCILE_FAILED, condition, dated

LOST = "LiveRowMissing"


def failure_of(context: Context) -> ReconcileFailure | None:
    """Returns the failure of the App: the missing live row, rows that may not be written, or the failure of the last reconcile. None if
    none.
    """
    refused, failure = refused_rows(context.snapshot.rows, context.history).values(), context.snapshot.operator.failure
    if context.lost is not None:
        return ReconcileFailure(LOST, lost_message(context.lost))
    if not refused:
        return failure
    messages = [*(problem.message for problem in refused), *([failure.message] if failure is not None else [])]
    return ReconcileFailure(next(iter(refused)).reason.value, "; ".join(messages))


def lost_message(lost: LiveRow) -> str:
    """Returns the message that the live row is missing."""
    return (
        f"live row {lost.row} (#{lost.sequence}) is missing: restore it from a backup, or deploy. "
        "Until then its pods keep running, and nothing of them is repaired"
    )


def failed_condition(failure: ReconcileFailure) -> Condition:
    """Returns the condition of a failed reconcile. Ready ignores it: serving pods keep serving."""
    return condition(RECONCILE_FAILED, True, failure.reason, failure.message)


def failure_operations(app: App | Unreadable, failure: ReconcileFailure, now: datetime) -> tuple[Operation, ...]:
    """Returns the operations for an Event and the condition, beside the App's other conditions; none if the App already has it."""
    conditions = app.conditions if isinstance(app, Unreadable) else tuple(each.as_json() for each in app.status.conditions)
    failed = failed_condition(failure)
    before = next((each for each in conditions if each.get("type") == RECONCILE_FAILED), None)
    if before is not None and (before.get("reason"), before.get("message")) == (failed.reason, failed.message):
        return ()
    (written,) = dated([failed], tuple(_readable(before)), now, app.meta.generation)
    others: Iterable[Manifest] = (dict(each) for each in conditions if each is not before)
    return events.reconcile_failed(app, failed.message), SetAppConditions(app.meta, (*others, written.as_json()))


def _readable(raw: Mapping[str, Any] | None) -> Iterable[Condition]:
    if raw is not None and raw.get("status") == "True" and isinstance(raw.get("lastTransitionTime"), str):
        yield condition(RECONCILE_FAILED, True, "", "").model_copy(update={"last_transition_time": raw["lastTransitionTime"]})
