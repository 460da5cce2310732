"""Draws deploys with random runs, and judges them with the operator's own functions, as it judges the reports of pods and of the recorder.

Calls are a Poisson process. A run's duration is log-normal around a median. A version fails at a rate: at once, or as late as it ends.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import orjson

from dynamiq_operator.model.rollout import RevertPolicy
from dynamiq_operator.model.runs import Verdict
from dynamiq_operator.plan.background.readings import WATCHED_EVERY
from dynamiq_operator.plan.observed.activity import Activity, Runs
from dynamiq_operator.plan.observed.comparison import RecordedComparison
from dynamiq_operator.plan.observed.run_counts import RunCounts, updated
from dynamiq_operator.plan.revert.comparing import faults, is_enough, runs_needed
from dynamiq_operator.plan.revert.fault import failing
from dynamiq_operator.plan.revert.watch import END, END_LEAST, new_trial
from dynamiq_recorder import sketch
from dynamiq_recorder.compare import compare
from dynamiq_recorder.maturity import matured, matures_after, told
from dynamiq_recorder.model import MICROSECONDS, RowFigures, Sums
from tests.support.stored_runs import a_row

BEGAN = datetime(2026, 11, 30, tzinfo=UTC)
ASKED_EVERY = 5.0
"""Seconds between requests to the recorder."""
LISTED = 100
"""Runs under way that a pod lists."""
ROW = "b"


@dataclass(frozen=True)
class Load:
    """The load of a version. `rate`: calls a second. `seconds`: the median of a run, `sigma` of its logarithm. `failing`: the share of
    failing runs.

    `fails_late`: failing runs last as long as others. `hanging`: the share of runs that never end.
    """

    rate: float
    seconds: float
    sigma: float = 0.5
    failing: float = 0.0
    fails_late: bool = False
    hanging: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """Runs by their starts, and the ends of failed and other ones, each in order. `took`: seconds of the first failed ones."""

    runs: Sequence[tuple[float, float]] = field(repr=False)
    began: Sequence[float] = field(repr=False)
    failed: Sequence[float] = field(repr=False)
    succeeded: Sequence[float] = field(repr=False)
    took: Sequence[float] = field(repr=False)

    def said(self, seconds: float) -> Activity:
        """Returns a pod's report at that time."""
        failed, succeeded = bisect_right(self.failed, seconds), bisect_right(self.succeeded, seconds)
        in_flight = bisect_right(self.began, seconds) - failed - succeeded
        return Activity(
            BEGAN + timedelta(seconds=seconds), seconds, 0.0, in_flight, False, Runs(succeeded, failed), None, self.took[failed]
        )


def drawn(chance: random.Random, load: Load, seconds: float) -> Drawn:
    runs: list[tuple[float, float]] = []
    failed: list[tuple[float, float]] = []
    succeeded, at = [], chance.expovariate(load.rate)
    while at < seconds:
        takes = load.seconds * chance.lognormvariate(0.0, load.sigma)
        fails = chance.random() < load.failing
        if fails and not load.fails_late:
            takes = min(takes, 0.01)
        if load.hanging and chance.random() < load.hanging:
            takes = float("inf")
        runs.append((at, takes))
        if fails:
            failed.append((at + takes, takes))
        else:
            succeeded.append(at + takes)
        at += chance.expovariate(load.rate)
    failed.sort()
    took = [0.0, *accumulate(takes for _, takes in failed)]
    return Drawn(runs, [began for began, _ in runs], [end for end, _ in failed], sorted(succeeded), took)


def is_reverted(chance: random.Random, before: Load, load: Load, policy: RevertPolicy) -> bool:
    """Returns True if a version is reverted for its failures, read every two seconds, after it replaced another one."""
    seconds = float(policy.seconds)
    previous = drawn(chance, before, seconds)
    # The previous version has run for as long as the new one is watched, and is read when the new one goes live.
    was = RunCounts(previous=updated({}, {"old": previous.said(seconds)})).version_before(policy.min_runs)
    trial = new_trial(ROW, BEGAN + timedelta(seconds=seconds), was)
    runs, counts, at = drawn(chance, load, seconds), RunCounts(ROW, own=frozenset({"pod"})), 0.0
    near_end = seconds - max(END * seconds, END_LEAST.total_seconds())
    while (at := at + WATCHED_EVERY.total_seconds()) < seconds:
        now = BEGAN + timedelta(seconds=at)
        counts = replace(counts, pods=updated(counts.pods, {"pod": runs.said(at)})).noted(now)
        if counts.last_look is None and at >= near_end:
            counts = replace(counts, last_look=counts.looked_at(now))
        if failing(counts, policy, trial) is not None:
            return True
    return False


@dataclass(frozen=True)
class Looked:
    """The result of the one comparison of p95. `at`: seconds after the row went live, None if its watch had no comparison."""

    reverted: bool = False
    verdict: Verdict = Verdict.TOO_FEW_RUNS
    at: float | None = None


def looked(chance: random.Random, before: Load, load: Load, policy: RevertPolicy, baseline: int = 2000) -> Looked:
    """Compares p95 of a version with `baseline` runs of the previous one, requested every five seconds."""
    other = _figures(1, [before.seconds * chance.lognormvariate(0.0, before.sigma) for _ in range(baseline)])
    matures = matures_after(other.sums)
    assert matures is not None
    runs, now = drawn(chance, load, policy.seconds).runs, 0.0
    while (now := now + ASKED_EVERY) < policy.seconds:
        cohort = [run for run in runs if run[0] < now - matures / MICROSECONDS]
        ended = [takes for began, takes in cohort if began + takes <= now]
        unended = min(len(cohort) - len(ended), LISTED)
        if len(ended) + unended < runs_needed(policy):
            continue
        every = _figures(2, [takes for began, takes in runs if began + takes <= now])
        compared = told(compare(matured(every, _figures(2, ended), unended, matures), other), every, matures)
        comparison = RecordedComparison.of(orjson.dumps({"data": compared.model_dump(mode="json")}))
        if is_enough(comparison, policy):
            assert compared.p95_ms is not None
            return Looked(bool(faults(comparison, policy)), compared.p95_ms.verdict, now)
    return Looked()


def _figures(sequence: int, durations: Sequence[float]) -> RowFigures:
    rounded = [round(MICROSECONDS * each) for each in durations]
    count = len(rounded)
    sums = Sums(runs=count, counted=count, duration=sum(rounded), sketch=sketch.sketch_of(rounded))
    return RowFigures(row=a_row(sequence), sums=sums)
