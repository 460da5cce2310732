"""Decides whether the watched row is bad: too many failed runs, pods in a crash loop, or a regression (`comparing`). It writes nothing.

The limit is the App's `maxFailedPercent`, or the failure rate of the version before if that is higher. Runs that began count. The rate has
to be above the limit by more than chance explains over all looks together (`chance`). Unknown figures count for nothing: pods that report
no runs revert no version.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dynamiq_operator.model.objects import Row, parse_time
from dynamiq_operator.model.rollout import RevertPolicy
from dynamiq_operator.model.trial import ComparisonResult, Trial
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import is_watched
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.observed.run_counts import Begun, RunCounts
from dynamiq_operator.plan.revert.chance import Rate, is_beyond_chance

CRASHES = 2
"""Restarts of one pod in a crash loop that are enough for a revert, without waiting for other pods to crash."""
CRASH_LOOP = "CrashLoopBackOff"
GRACE = timedelta(minutes=5)
"""How long a noted regression still reverts after the watch. It may be noted in the last second; a new operator takes over in less time."""


def fault(context: Context) -> str:
    """Returns why the live row is bad, with figures; empty if it is not, or is not watched."""
    policy, live, watched = context.app.spec.rollout.revert, context.history.live, context.app.status.trial
    if policy is None or live is None or live.outcome is None or watched is None or watched.row != live.name:
        return ""
    why = ""
    if is_watched(watched, live, context.snapshot.now):
        why = _crashing(context.pods, context.snapshot.trial.counts) or _failing(
            context.snapshot.trial.counts, context.snapshot.now, policy, watched, parse_time(live.outcome.at)
        )
    # The rate is tested every few seconds. Without the test against chance a version with nearly the limit would be reverted some day:
    # after 20 runs, two failures are 10 %.
    return why or regressed(policy, watched, context.snapshot.now)


def regressed(policy: RevertPolicy, watched: Trial, now: datetime) -> str:
    """Returns the noted regression of the row; empty if there is none, or if it expired."""
    comparison = watched.compared
    counts = policy.compares and comparison is not None and comparison.result is ComparisonResult.REGRESSED and now < counts_until(watched)
    return comparison.message if comparison is not None and counts else ""


def counts_until(watched: Trial) -> datetime:
    """Returns until when the row may be reverted: the end of its watch, or GRACE after that if it regressed."""
    is_worse = watched.compared is not None and watched.compared.result is ComparisonResult.REGRESSED
    return parse_time(watched.until) + (GRACE if is_worse else timedelta())


def silent_pods(context: Context) -> tuple[ObservedPod, ...]:
    """Returns the ready pods of the live row if all of them repeatedly failed to report runs; else none."""
    ready = tuple(pod for pod in context.pods if pod.ready and not pod.deleting)
    return ready if all(pod.uid in context.snapshot.pods.silent for pod in ready) else ()


def is_newest(context: Context, live: Row) -> bool:
    """Returns True if no row was made after the live one, except rows that only waited.

    A person who made such a row has taken over: nothing is reverted.

    While a row waits and the history is unread, it is assumed to be True.
    """
    if context.history.unnumbered:
        return False
    if context.last_sequence <= live.sequence:
        return True
    if not context.ledger.known:
        return bool(context.history.guarded)
    after = [row for row in context.ledger.in_order if row.sequence > live.sequence]
    return bool(after) and all(row.unreleased for row in after) and context.last_sequence <= after[-1].sequence


def _failing(counts: RunCounts, now: datetime, policy: RevertPolicy, watched: Trial, since: datetime) -> str:
    runs = failing(counts, policy, watched)
    if runs is None:
        return ""
    seconds, before = max(int((now - since).total_seconds()), 1), watched.previous_failed_percent
    percent = _above(runs.failed_percent, max(policy.max_failed_percent, before or 0.0))
    known = f"{before:.0f} %" if before is not None else "unknown"
    return (
        f"{runs.failed} of {runs.count} runs failed within {seconds} s ({percent} %), "
        f"more than {policy.max_failed_percent} %; the version before: {known}"
    )


def failing(counts: RunCounts, policy: RevertPolicy, watched: Trial) -> Begun | None:
    """Returns the runs of the watched row if too many of them fail; None if they do not, or are unknown."""
    if counts.row != watched.row:
        return None
    before = _version_before(watched)
    # An older operator noted only the rate of the version before: it is used as the limit.
    limit = policy.max_failed_percent if before is not None else max(policy.max_failed_percent, watched.previous_failed_percent or 0.0)
    for runs, last in ((counts.begun, False), (counts.last_look, True)):
        if runs is None or runs.ended < policy.min_runs:
            continue
        if is_beyond_chance(Rate(runs.failed, runs.count), limit / 100, before, last=last):
            return runs
    return None


def _version_before(watched: Trial) -> Rate | None:
    """Returns the failures of the version before; None if unknown, or if an older operator noted only its rate."""
    if watched.previous_failed_percent is None or not watched.previous_runs:
        return None
    return Rate(round(watched.previous_failed_percent * watched.previous_runs / 100), watched.previous_runs)


def _above(percent: float, limit: float) -> str:
    """Formats a rate above the limit so that its digits are above the limit, too."""
    return str(int(percent)) if int(percent) > limit else f"{percent:.1f}"


def _crashing(pods: Sequence[ObservedPod], counts: RunCounts) -> str:
    """Returns which pod crashes, and how; empty if none is in a crash loop. A pod that was evicted or drained has not crashed."""
    pods = [pod for pod in pods if not pod.deleting and pod.displaced is None]
    looping = [pod for pod in pods if _loops(counts, pod) >= 1]
    often = next((pod for pod in looping if _loops(counts, pod) >= CRASHES), None)
    crashed = often or (looping[0] if looping and len(looping) == len(pods) else None)
    if crashed is None or crashed.container is None:
        return ""
    times = _loops(counts, crashed) + 1
    how = f"exit code {crashed.container.exit_code}" if crashed.container.exit_code is not None else "an unknown exit code"
    killed = ": it used more memory than its limit" if crashed.container.exit_reason == "OOMKilled" else ""
    return f"pod {crashed.name} crashed {times} times, the last time with {how}{killed}"


def _loops(counts: RunCounts, pod: ObservedPod) -> int:
    """Returns how often a pod in a crash loop was restarted since the row began; 0 if it is in none."""
    if pod.container is None or pod.container.waiting_reason != CRASH_LOOP or pod.ready:
        return 0
    return max(pod.container.restarts - counts.restarts.get(pod.uid, 0), 0)
