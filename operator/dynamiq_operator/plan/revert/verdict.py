"""Whether the row that is watched is bad: too many of its runs fail, its pods crash again and again, or it is worse than the one before (`comparing`).

The limit is the App's `maxFailedPercent`, or, where the version before did worse than that, how that one did. The rate of failures is of the
runs that began. It has to be above the limit by more than chance explains over all looks together (`chance`): else a version of which nearly
as many runs may fail as do would be reverted some day, since it is looked at every few seconds, and after 20 runs two more or less are 10 %.
What is not known counts for nothing: pods that say nothing of their runs take no version back. What the recorder said is noted, and counts on
for GRACE after the watch: it may be found in its last second.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dynamiq_operator.model.app import Trial
from dynamiq_operator.model.objects import Record, parse_time
from dynamiq_operator.model.rollout import RevertPolicy
from dynamiq_operator.model.trial import ComparisonResult
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.observed.run_counts import Begun, RunCounts
from dynamiq_operator.plan.revert.chance import Rate, is_beyond_chance
from dynamiq_operator.plan.revert.watch import is_running

CRASHES = 2
"""Restarts of a pod that is in a crash loop, after which nobody waits for the other pods to crash."""
CRASH_LOOP = "CrashLoopBackOff"
GRACE = timedelta(minutes=5)
"""For which a noted verdict counts on after the watch: the next operator takes over in less, and nobody expects that a version is taken back later."""


def fault(context: Context) -> str:
    """Why the live row is bad, in words with figures; empty where it is not, or is not watched."""
    policy, live, watched = context.app.spec.rollout.revert, context.history.live, context.app.status.trial
    if policy is None or live is None or live.outcome is None or watched is None or watched.row != live.name:
        return ""
    seen = ""
    if is_running(watched, live, context.now):
        seen = _crashing(context) or _failing(context, policy, watched, parse_time(live.outcome.at))
    return seen or regressed(policy, watched, context.now)


def regressed(policy: RevertPolicy, watched: Trial, now: datetime) -> str:
    """What the recorder said of a row that is worse, which is noted once; empty when it does not count any more."""
    found = watched.compared
    counts = policy.compares and found is not None and found.result is ComparisonResult.REGRESSED and now < counts_until(watched)
    return found.message if found is not None and counts else ""


def counts_until(watched: Trial) -> datetime:
    """Until when the row may be taken back: the end of its watch, or, where it was found to be worse, GRACE after that."""
    is_worse = watched.compared is not None and watched.compared.result is ComparisonResult.REGRESSED
    return parse_time(watched.until) + (GRACE if is_worse else timedelta())


def silent_pods(context: Context) -> tuple[Pod, ...]:
    """Pods of the live row that are ready, where all of them were asked in vain what they do."""
    ready = tuple(pod for pod in context.pods if pod.ready and not pod.deleting)
    return ready if all(pod.uid in context.snapshot.silent for pod in ready) else ()


def is_newest(context: Context, live: Record) -> bool:
    """Whether no row was made after the live one, however it ended: then somebody has seen to it, and nothing is taken back.

    A row that only waits, or waited, has changed nothing. While a row waits, that it is so is taken for true until the history is read.
    """
    if context.history.unnumbered:
        return False
    if context.last_sequence <= live.sequence:
        return True
    if not context.ledger.known:
        return bool(context.history.guarded)
    after = [row for row in context.ledger.in_order if row.sequence > live.sequence]
    return bool(after) and all(row.unreleased for row in after) and context.last_sequence <= after[-1].sequence


def _failing(context: Context, policy: RevertPolicy, watched: Trial, since: datetime) -> str:
    runs = failing(context.snapshot.counts, policy, watched)
    if runs is None:
        return ""
    seconds, before = max(int((context.now - since).total_seconds()), 1), watched.previous_failed_percent
    percent = _above(runs.failed_percent, max(policy.max_failed_percent, before or 0.0))
    known = f"{before:.0f} %" if before is not None else "is not known"
    return (
        f"{runs.failed} of {runs.count} runs failed within {seconds} s ({percent} %), "
        f"at most {policy.max_failed_percent} % may; the version before: {known}"
    )


def failing(counts: RunCounts, policy: RevertPolicy, watched: Trial) -> Begun | None:
    """Returns the runs of the watched row too many of which fail; None where they do not, or nothing is known of them."""
    if counts.row != watched.row:
        return None
    before = _version_before(watched)
    # Where an older operator noted the rate of the version before alone, it is taken as it is.
    limit = policy.max_failed_percent if before is not None else max(policy.max_failed_percent, watched.previous_failed_percent or 0.0)
    for runs, last in ((counts.begun, False), (counts.last_look, True)):
        if runs is None or runs.ended < policy.min_runs:
            continue
        if is_beyond_chance(Rate(runs.failed, runs.count), limit / 100, before, last=last):
            return runs
    return None


def _version_before(watched: Trial) -> Rate | None:
    """The failures of the version before; None where its rate alone is known, as an older operator noted it, or nothing."""
    if watched.previous_failed_percent is None or not watched.previous_runs:
        return None
    return Rate(round(watched.previous_failed_percent * watched.previous_runs / 100), watched.previous_runs)


def _above(percent: float, limit: float) -> str:
    """A rate that is above the limit, as a number that reads so."""
    return str(int(percent)) if int(percent) > limit else f"{percent:.1f}"


def _crashing(context: Context) -> str:
    """A pod that was evicted or drained has not crashed, nor has one that is killed once for its memory a crash loop."""
    pods = [pod for pod in context.pods if not pod.deleting and pod.displaced is None]
    looping = [pod for pod in pods if _loops(context, pod) >= 1]
    often = next((pod for pod in looping if _loops(context, pod) >= CRASHES), None)
    found = often or (looping[0] if looping and len(looping) == len(pods) else None)
    if found is None or found.container is None:
        return ""
    times = _loops(context, found) + 1
    how = f"exit code {found.container.exit_code}" if found.container.exit_code is not None else "an unknown exit code"
    killed = ": it used more memory than its limit" if found.container.exit_reason == "OOMKilled" else ""
    return f"pod {found.name} crashed {times} times, the last time with {how}{killed}"


def _loops(context: Context, pod: Pod) -> int:
    """How often a pod that is in a crash loop has been restarted since the row began; 0 for one that is in none."""
    if pod.container is None or pod.container.waiting_reason != CRASH_LOOP or pod.ready:
        return 0
    counts = context.snapshot.counts
    return max(pod.container.restarts - counts.restarts.get(pod.uid, 0), 0)
