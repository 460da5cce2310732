"""Derives an App's condition of the watch after a deploy, and of a revert. Ready ignores it."""

from __future__ import annotations

from dynamiq_operator.model import names
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import App, Row, parse_time
from dynamiq_operator.model.rollout import RevertPolicy
from dynamiq_operator.model.row import Source
from dynamiq_operator.model.trial import ComparisonResult, Trial
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards.hold import shown_hold
from dynamiq_operator.plan.operations import Emit
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.revert.comparing import compared_figures, limits, noted_trial, too_short
from dynamiq_operator.plan.revert.fault import counts_until, fault, is_newest, regressed, silent_pods
from dynamiq_operator.plan.revert.revert_row import good_row
from dynamiq_operator.plan.revert.watch import is_running
from dynamiq_operator.plan.status.conditions import TRIAL, condition

NOTHING_TO_RESTORE = "NothingToRestore"


def trial_condition(context: Context) -> Condition | None:
    """Returns the condition Trial; None for an App that does not revert, and did not revert its live row."""
    live, policy = context.history.live, context.app.spec.rollout.revert
    if live is not None and live.pinned is not None and live.pinned.source is Source.REVERT:
        return condition(TRIAL, False, "Reverted", _reverted(context, live))
    if policy is None:
        return None
    watched = noted_trial(context)
    if live is None or watched is None:
        return condition(TRIAL, False, "NotWatched", "nothing is watched: the next version that goes live will be")
    why, is_over = fault(context) or regressed(policy, watched, context.snapshot.now), not is_running(watched, live, context.snapshot.now)
    if (followed := _being_reverted(context, live)) is not None:
        return followed
    if is_over and not why:
        return _kept(policy, live, watched)
    if not is_newest(context, live):
        return condition(TRIAL, False, "Overtaken", f"a newer row exists, so {live.title} is not reverted")
    if why and _has_no_good_row(context):
        message = f"{live.title} cannot be reverted, since no older row ran another version; deploy one manually"
        return condition(TRIAL, False, NOTHING_TO_RESTORE, message)
    if is_over:
        return condition(TRIAL, False, "Reverting", f"{live.title} is to be reverted: {why}")
    return _watching(context, policy, live, watched)


def trial_events(context: Context, shown: Condition | None) -> tuple[Emit, ...]:
    """Returns Events if the App newly shows that a revert has no good row."""
    live, policy, watched = context.history.live, context.app.spec.rollout.revert, noted_trial(context)
    if shown is None or live is None or policy is None or watched is None:
        return ()
    if shown.reason != NOTHING_TO_RESTORE or _reason_before(context.app) == NOTHING_TO_RESTORE:
        return ()
    return events.not_reverted(context.app, live, f"{shown.message}: {fault(context) or regressed(policy, watched, context.snapshot.now)}")


def trial_times(context: Context) -> tuple[float, ...]:
    """Returns the seconds until the watch is over, and until the row can no longer be reverted."""
    watched, live = context.app.status.trial, context.history.live
    if watched is None or live is None or watched.row != live.name:
        return ()
    ends = (parse_time(watched.until), counts_until(watched))
    return tuple((end - context.snapshot.now).total_seconds() for end in ends if context.snapshot.now < end)


def _reverted(context: Context, live: Row) -> str:
    waits = context.app.spec.deploy is not None and shown_hold(context) is not None
    held = (
        f". Changes from Git are on hold. To apply them again: `kubectl dynamiq resume {context.app.meta.name} -n {context.app.meta.namespace}`"
        if waits
        else ""
    )
    return f"{live.spec.message or ''}; {live.title} runs in its place{held}"


def _reason_before(app: App) -> str:
    """Returns the reason of the condition in the App's status; empty if there is none."""
    return next((each.reason for each in app.status.conditions if each.type == TRIAL), "")


def _has_no_good_row(context: Context) -> bool:
    """Returns True if a revert has no good row. While the history is unknown, the App's status counts."""
    if not context.ledger.known:
        return _reason_before(context.app) == NOTHING_TO_RESTORE
    return good_row(context.ledger, context.snapshot.guards) is None


def _being_reverted(context: Context, live: Row) -> Condition | None:
    """Returns the condition of a live row for which a revert exists, even if its watch is over; None if there is none."""
    if is_newest(context, live):
        return None
    name = names.revert_row(context.app.meta.name, live.name)
    if any(row.name == name for row in context.history.rows):
        return condition(TRIAL, False, "Reverting", f"{live.title} is being reverted by row {name}")
    failed = context.app.status.failed
    if failed is not None and failed.row == name:
        return condition(TRIAL, False, "NotReverted", f"{live.title} could not be reverted: row {name} failed: {failed.reason}")
    return None


def _kept(policy: RevertPolicy, live: Row, watched: Trial) -> Condition:
    text, compared = f"{live.title} was watched until {watched.until}, and is kept", watched.compared
    if watched.unended_percent is not None:
        text += (
            f"; {watched.unended_percent:.0f} % of its runs had not ended by then: they take longer than revert.seconds, "
            f"set it to more than {policy.seconds}"
        )
    if compared is not None and compared.result is ComparisonResult.NOT_COMPARED:
        return condition(TRIAL, False, "NotCompared", f"{text}; its {compared_figures(policy)} could not be compared: {compared.message}")
    if compared is not None and compared.result is ComparisonResult.REGRESSED:
        return condition(TRIAL, False, "Kept", f"{text}: it is worse, and was not reverted in time; {compared.message}")
    return condition(TRIAL, False, "Kept", text + (f"; {compared.message}" if compared is not None else ""))


def _watching(context: Context, policy: RevertPolicy, live: Row, watched: Trial) -> Condition:
    title = live.title
    if silent_pods(context):
        others = "".join(f", or {limit}" for limit in limits(policy))
        return condition(
            TRIAL,
            None,
            "NoRuns",
            f"the runtime of {title} reports no runs at port 9090: until {watched.until} it is reverted only if its pods crash{others}",
        )
    text = f"{title} is watched until {watched.until}: {_limits(policy, watched)}"
    if policy.compares and context.snapshot.settings.recorder is None:
        return condition(
            TRIAL,
            None,
            "NoRecorder",
            f"{text}; its {compared_figures(policy)} cannot be compared: the operator has no recorder, set --recorder",
        )
    more = watched.compared.message if watched.compared is not None else too_short(context.snapshot.trial, context.history.live, policy)
    return condition(TRIAL, True, "Watching", text + (f"; {more}" if more else ""))


def _limits(policy: RevertPolicy, watched: Trial) -> str:
    """Returns what reverts the row from now on. The comparison is made once: after that its limits are left out."""
    bad = [f"more than {policy.max_failed_percent} % of at least {policy.min_runs} runs fail", "its pods crash again and again"]
    bad += limits(policy) if watched.compared is None else ()
    return f"it is reverted if {', '.join(bad[:-1])}, or {bad[-1]}"
