"""Which row is watched, and until when: one that went live with another flow or runtime than ran before, and that brought nothing back."""

from __future__ import annotations

from datetime import datetime, timedelta

from dynamiq_operator.model.app import Trial
from dynamiq_operator.model.objects import App, Record, format_time, parse_time
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import History


def counts_runs(app: App, history: History, now: datetime) -> bool:
    """Whether runs are counted: of the row that is watched, and, while one is deployed over another, of both.

    A row that has just gone live, of which the App's status does not tell yet, is counted on.
    """
    if app.spec.rollout.revert is None or history.live is None:
        return False
    if history.candidate is not None or app.status.live is None or app.status.live.row != history.live.name:
        return True
    return is_running(app.status.trial, history.live, now)


def is_running(trial: Trial | None, live: Record | None, now: datetime) -> bool:
    """Whether the live row is watched now."""
    return trial is not None and live is not None and trial.row == live.name and now < parse_time(trial.until)


def trial(context: Context) -> Trial | None:
    """The trial of the live row, which begins when its App's status first tells of the row and stays until another one is live."""
    policy, live, told = context.app.spec.rollout.revert, context.history.live, context.app.status
    if policy is None or live is None or live.outcome is None or context.lost is not None:
        return None
    if told.live is not None and told.live.row == live.name:
        return told.trial if told.trial is not None and told.trial.row == live.name else None
    if brings_back(live) or _ran_before(context, live):
        return None
    until = parse_time(live.outcome.at) + timedelta(seconds=policy.seconds)
    if context.now >= until:
        return None  # such as one that a restore brought back
    counts = context.snapshot.counts
    before = counts.previous_failed_percent(policy.min_runs) if counts.row == live.name else None
    return Trial(row=live.name, until=format_time(until), previous_failed_percent=round(before, 1) if before is not None else None)


def brings_back(row: Record) -> bool:
    """Whether it restores another row: it is never taken back."""
    return row.spec.restores is not None or (row.pinned is not None and row.pinned.restores is not None)


def _ran_before(context: Context, live: Record) -> bool:
    """Whether the row that was live before ran the same flow on the same runtime."""
    told = context.app.status.live
    before = next((row for row in context.history.rows if told is not None and row.name == told.row), None)
    if before is None or before.pinned is None or live.pinned is None:
        return False
    return (before.pinned.workflow_hash, before.pinned.runtime) == (live.pinned.workflow_hash, live.pinned.runtime)
