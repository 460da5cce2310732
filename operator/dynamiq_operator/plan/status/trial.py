"""What an App says of the version that is watched, and of one that was taken back. Ready does not depend on it."""

from __future__ import annotations

from dynamiq_operator.model import names
from dynamiq_operator.model.app import Trial
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import Record, parse_time
from dynamiq_operator.model.record import Source
from dynamiq_operator.model.rollout import RevertPolicy
from dynamiq_operator.model.trial import ComparisonResult
from dynamiq_operator.plan import events
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import Emit
from dynamiq_operator.plan.records.deploy_spec import hold
from dynamiq_operator.plan.revert.comparing import compared_figures, limits, noted_trial
from dynamiq_operator.plan.revert.restore import good_row
from dynamiq_operator.plan.revert.verdict import fault, is_newest, silent_pods
from dynamiq_operator.plan.revert.watch import is_running
from dynamiq_operator.plan.status.conditions import TRIAL, condition

NOTHING_TO_RESTORE = "NothingToRestore"


def trial_condition(context: Context) -> Condition | None:
    """None for an App that takes no version back, and has taken none back."""
    live, policy = context.history.live, context.app.spec.rollout.revert
    if live is not None and live.pinned is not None and live.pinned.source is Source.REVERT:
        return condition(TRIAL, False, "Reverted", _reverted(context, live))
    if policy is None:
        return None
    watched = noted_trial(context)
    if live is None or watched is None:
        return condition(TRIAL, False, "NotWatched", "nothing is watched: the next version that goes live will be")
    if not is_running(watched, live, context.now) and not fault(context):
        return _kept(policy, live, watched)
    return _newer(context, live) or _watching(context, live, watched)


def trial_events(context: Context, told: Condition | None) -> tuple[Emit, ...]:
    """An Event where the App is to say, and does not say yet, that there is nothing to take a bad version back to."""
    before = next((each.reason for each in context.app.status.conditions if each.type == TRIAL), "")
    live = context.history.live
    if told is None or live is None or told.reason != NOTHING_TO_RESTORE or before == NOTHING_TO_RESTORE:
        return ()
    return events.not_reverted(context.app, live, f"{told.message}: {fault(context)}")


def trial_times(context: Context) -> tuple[float, ...]:
    """Seconds until the watch is over."""
    watched, live = context.app.status.trial, context.history.live
    if watched is None or not is_running(watched, live, context.now):
        return ()
    return ((parse_time(watched.until) - context.now).total_seconds(),)


def _reverted(context: Context, live: Record) -> str:
    waits = context.app.spec.deploy is not None and hold(context) is not None
    held = "; what Git asks for next waits until somebody deploys by hand" if waits else ""
    return f"{live.spec.message or ''}; {events.title(live)} runs in its place{held}"


def _newer(context: Context, live: Record) -> Condition | None:
    """Of a row that is not taken back any more, since it is not the newest."""
    if is_newest(context, live):
        return None
    name = names.revert_row(context.app.meta.name, live.name)
    if any(row.name == name for row in context.history.rows):
        return condition(TRIAL, False, "Reverting", f"{events.title(live)} is being taken back by row {name}")
    failed = context.app.status.failed
    if failed is not None and failed.row == name:
        return condition(TRIAL, False, "NotReverted", f"{events.title(live)} could not be taken back: row {name} failed: {failed.reason}")
    return condition(TRIAL, False, "Overtaken", f"a row was made after {events.title(live)}: it is not taken back")


def _kept(policy: RevertPolicy, live: Record, watched: Trial) -> Condition:
    said, compared = f"{events.title(live)} was watched until {watched.until}, and is kept", watched.compared
    if compared is not None and compared.result is ComparisonResult.NOT_COMPARED:
        return condition(TRIAL, False, "NotCompared", f"{said}; its {compared_figures(policy)} could not be compared: {compared.message}")
    return condition(TRIAL, False, "Kept", said + (f"; {compared.message}" if compared is not None else ""))


def _watching(context: Context, live: Record, watched: Trial) -> Condition:
    title = events.title(live)
    if context.ledger.known and fault(context) and good_row(context) is None:
        return condition(
            TRIAL, False, NOTHING_TO_RESTORE, f"{title} would be taken back, and no older row ran another version: deploy one by hand"
        )
    policy = context.app.spec.rollout.revert or RevertPolicy()
    if silent_pods(context):
        others = "".join(f", or {limit}" for limit in limits(policy))
        return condition(
            TRIAL,
            None,
            "NoRuns",
            f"the runtime of {title} reports no runs at port 9090: until {watched.until} it is taken back only where its pods crash{others}",
        )
    said = f"{title} is watched until {watched.until}: {_limits(policy, watched)}"
    if policy.compares and context.settings.recorder is None:
        return condition(
            TRIAL, None, "NoRecorder", f"{said}; its {compared_figures(policy)} cannot be compared: the operator was told of no recorder"
        )
    return condition(TRIAL, True, "Watching", said + (f"; {watched.compared.message}" if watched.compared is not None else ""))


def _limits(policy: RevertPolicy, watched: Trial) -> str:
    """What takes it back from now on: it is compared once."""
    bad = [f"more than {policy.max_failed_percent} % of at least {policy.min_runs} runs fail", "its pods crash again and again"]
    bad += limits(policy) if watched.compared is None else ()
    return f"where {', '.join(bad[:-1])}, or {bad[-1]}, what ran before comes back"
