"""Decides which row is watched, and until when: one that went live with a new flow or runtime, and is no rollback or revert."""

from __future__ import annotations

from datetime import datetime, timedelta

from dynamiq_operator.model.objects import App, Row, format_time, parse_time
from dynamiq_operator.model.trial import Trial
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards.hold import runs_alike
from dynamiq_operator.plan.history.lifecycle import RowHistory, is_watched
from dynamiq_operator.plan.observed.run_counts import Begun

END = 0.05
"""The last part of the watch. The last look happens in it, with enough time to revert."""
END_LEAST = timedelta(seconds=4)
"""The least duration of that part, so that pods are read within it."""


def counts_runs(app: App, history: RowHistory, now: datetime) -> bool:
    """Returns True if runs are counted: of the watched row, and during a deploy over a live row of both."""
    if app.spec.rollout.revert is None or history.live is None:
        return False
    # A row that just went live, and is not in the App's status yet, stays counted.
    if history.candidate is not None or app.status.live is None or app.status.live.row != history.live.name:
        return True
    return is_watched(app.status.trial, history.live, now)


def is_near_end(app: App, history: RowHistory, now: datetime) -> bool:
    """Returns True if the watch of the live row is about to end."""
    watched, live, policy = app.status.trial, history.live, app.spec.rollout.revert
    if watched is None or policy is None or not is_watched(watched, live, now):
        return False
    return now >= parse_time(watched.until) - max(END * timedelta(seconds=policy.seconds), END_LEAST)


def trial(context: Context) -> Trial | None:
    """Returns the live row's `status.trial`; None if it is not watched and was not.

    It begins when the App's status first names the row, and stays until another row is live.
    """
    watched, counts = _begun_trial(context), context.snapshot.trial.counts
    last = counts.last_look if watched is not None and counts.row == watched.row else None
    if watched is None or last is None or watched.unended_percent is not None or last.in_flight <= last.ended:
        return watched
    return watched.model_copy(update={"unended_percent": round(100 * last.in_flight / (last.ended + last.in_flight), 1)})


def _begun_trial(context: Context) -> Trial | None:
    policy, live, status = context.app.spec.rollout.revert, context.history.live, context.app.status
    if policy is None or live is None or live.outcome is None or context.lost is not None:
        return None
    if status.live is not None and status.live.row == live.name:
        return status.trial if status.trial is not None and status.trial.row == live.name else None
    if is_rollback_or_revert(live) or _ran_before(context.history, context.app, live):
        return None
    until = parse_time(live.outcome.at) + timedelta(seconds=policy.seconds)
    if context.snapshot.now >= until:
        return None  # such as a row restored from a backup
    counts = context.snapshot.trial.counts
    before = counts.version_before(policy.min_runs) if counts.row == live.name else None
    return new_trial(live.name, until, before)


def new_trial(row: str, until: datetime, before: Begun | None) -> Trial:
    """Returns what is noted of a row that goes live, and of the version before it."""
    return Trial(
        row=row,
        until=format_time(until),
        previous_failed_percent=round(before.failed_percent, 1) if before is not None else None,
        previous_runs=before.count if before is not None else None,
    )


def is_rollback_or_revert(row: Row) -> bool:
    """Returns True if the row is a rollback or a revert: neither is ever reverted."""
    return row.spec.restores is not None or (row.pinned is not None and row.pinned.restores is not None)


def _ran_before(history: RowHistory, app: App, live: Row) -> bool:
    """Returns True if the row that was live before ran the same flow on the same runtime."""
    previous = app.status.live
    before = next((row for row in history.rows if previous is not None and row.name == previous.row), None)
    return before is not None and before.pinned is not None and live.pinned is not None and runs_alike(before.pinned, live.pinned)
