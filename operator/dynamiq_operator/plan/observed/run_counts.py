"""The runs of the pods of one row, added up over its containers and its pods, those that are gone included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dynamiq_operator.plan.observed.activity import Activity, Runs


@dataclass(frozen=True)
class Ended:
    """Runs that ended well, and such as the server failed; what callers sent wrong counts for nothing."""

    succeeded: int = 0
    failed: int = 0

    @classmethod
    def sum(cls, parts: Iterable[Ended]) -> Ended:
        every = tuple(parts)
        return cls(sum(each.succeeded for each in every), sum(each.failed for each in every))

    @property
    def count(self) -> int:
        return self.succeeded + self.failed

    @property
    def failed_percent(self) -> float:
        return 100 * self.failed / self.count if self.count else 0.0


@dataclass(frozen=True)
class PodRuns:
    """Runs of one pod: `before` it was asked first, and `since`. `last`: what it said last."""

    before: Ended
    since: Ended
    last: Activity

    @classmethod
    def first(cls, said: Activity) -> PodRuns:
        return cls(_ended(said.runs), Ended(), said)

    def then(self, said: Activity) -> PodRuns:
        """With what it said after that. A container that began anew counts from 0."""
        now, told = _ended(said.runs), _ended(self.last.runs)
        fewer = now.succeeded < told.succeeded or now.failed < told.failed
        began_anew = fewer or (said.ready_seconds or 0.0) < (self.last.ready_seconds or 0.0)
        added = now if began_anew else Ended(now.succeeded - told.succeeded, now.failed - told.failed)
        return replace(self, since=Ended.sum((self.since, added)), last=said)

    @property
    def every(self) -> Ended:
        return Ended.sum((self.before, self.since))


@dataclass(frozen=True)
class RunCounts:
    """What is counted of the row `row`: by a pod's uid, its runs, `own` of those that began after the row did.

    `restarts`: of a pod that began before it, those that it had had by then. `previous`: the pods of the version that was live before.
    What is forgotten is read anew, and counted from then on.
    """

    row: str = ""
    pods: Mapping[str, PodRuns] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    restarts: Mapping[str, int] = field(default_factory=dict)
    previous: Mapping[str, PodRuns] = field(default_factory=dict)

    @property
    def ended(self) -> Ended:
        """The row's runs: every one of its own pods, and of a pod that ran before those since it was asked first."""
        return Ended.sum(runs.every if uid in self.own else runs.since for uid, runs in self.pods.items())

    def previous_failed_percent(self, least: int) -> float | None:
        """Of the version before, in its whole life and since this row began, whichever is more; None where it had fewer runs than `least`."""
        rates = (Ended.sum(each.every for each in self.previous.values()), Ended.sum(each.since for each in self.previous.values()))
        return max((rate.failed_percent for rate in rates if rate.count >= least), default=None)


def updated(counted: Mapping[str, PodRuns], said: Mapping[str, Activity]) -> dict[str, PodRuns]:
    """With what pods said now; the same answer counts once."""
    found = dict(counted)
    for uid, each in said.items():
        before = counted.get(uid)
        if before is None:
            found[uid] = PodRuns.first(each)
        else:
            found[uid] = before.then(each)
    return found


def _ended(runs: Runs) -> Ended:
    return Ended(runs.succeeded, runs.failed)
