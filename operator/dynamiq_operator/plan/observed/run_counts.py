"""The runs of the pods of one row, added up over its containers and its pods, those that are gone included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dynamiq_operator.plan.observed.activity import Activity

NOTES_MOST = 300
"""Of how many runs had begun by a time."""
LEAST = 0.5
"""The part of all runs for which those are taken at least that had time to fail, so that no few failures of the first ones outweigh the rest."""


@dataclass(frozen=True)
class Begun:
    """Runs that began: those that ended well, those that the server failed, and those that are in flight, or were when their container ended.

    Requests that callers sent wrong count once they are refused for nothing, and until then as in flight. `young`: of those in flight, those
    that began too late to have failed by now, as long as failures take; they do not count.
    """

    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    young: int = 0

    @classmethod
    def sum(cls, parts: Iterable[Begun]) -> Begun:
        every = tuple(parts)
        return cls(
            *(sum(values) for values in zip(*((each.succeeded, each.failed, each.in_flight, each.young) for each in every), strict=True))
        )

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed

    @property
    def count(self) -> int:
        return self.ended + self.in_flight - self.young

    @property
    def failed_percent(self) -> float:
        return 100 * self.failed / self.count if self.count else 0.0


@dataclass(frozen=True)
class PodRuns:
    """Runs of one pod: `before` it was asked first, and `since`, without those in flight. `last`: what it reported last.

    `delays`: failures since then, by the whole seconds that they took; 0 where that is not known.
    """

    before: Begun
    since: Begun
    last: Activity
    delays: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def first(cls, said: Activity) -> PodRuns:
        return cls(_ended(said), Begun(), said)

    def then(self, said: Activity) -> PodRuns:
        """With what it reported after that. A container that began anew counts from 0, and what was in flight in the one before was cut off."""
        now, told = _ended(said), _ended(self.last)
        fewer = now.succeeded < told.succeeded or now.failed < told.failed
        began_anew = fewer or (said.ready_seconds or 0.0) < (self.last.ready_seconds or 0.0)
        if began_anew:
            added = replace(now, in_flight=self.last.in_flight)
        else:
            added = Begun(now.succeeded - told.succeeded, now.failed - told.failed)
        delays = dict(self.delays)
        if added.failed:
            earlier = 0.0 if began_anew else self.last.failed_seconds
            delay = 0
            if said.failed_seconds is not None and earlier is not None:
                delay = int(max(said.failed_seconds - earlier, 0.0) / added.failed)
            delays[delay] = delays.get(delay, 0) + added.failed
        return replace(self, since=Begun.sum((self.since, added)), last=said, delays=delays)

    @property
    def latest(self) -> Begun:
        """Runs since it was asked first. What was in flight when a pod was read last began, whatever became of the pod."""
        return Begun.sum((self.since, Begun(in_flight=self.last.in_flight)))

    @property
    def every(self) -> Begun:
        return Begun.sum((self.before, self.latest))

    @property
    def whole_life(self) -> Begun:
        """Every run, without those that began too late to have failed: by how long failures took in the mean, at a rate that is constant."""
        every, life, took = self.every, self.last.ready_seconds, self.last.failed_seconds
        if not life or not took or not every.failed:
            return every
        return replace(every, young=min(every.in_flight, round(every.count * min(took / every.failed / life, 1 - LEAST))))


@dataclass(frozen=True)
class RunCounts:
    """What is counted of the row `row`: by a pod's uid, its runs, `own` of those that began after the row did.

    `restarts`: of a pod that began before it, those that it had had by then. `previous`: the pods of the version that was live before.
    `last_look`: the row's runs when the end of its watch came near, and None before. `begun_by`: how many had begun by a time. What is
    forgotten is read anew, and counted from then on.
    """

    row: str = ""
    pods: Mapping[str, PodRuns] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    restarts: Mapping[str, int] = field(default_factory=dict)
    previous: Mapping[str, PodRuns] = field(default_factory=dict)
    last_look: Begun | None = None
    begun_by: tuple[tuple[datetime, int], ...] = ()

    def noted(self, now: datetime) -> RunCounts:
        """With how many runs have begun by now; of so many such notes every second one is dropped."""
        notes = (*self.begun_by, (now, self.begun.count))
        return replace(self, begun_by=notes if len(notes) <= NOTES_MOST else notes[::2])

    def looked_at(self, now: datetime) -> Begun:
        """The row's runs, without those that began too late to have failed by now.

        Each failure is one of the runs that began by the time that it took before now. The harmonic mean of how many these are, over the
        failures, estimates how many runs had time to fail (Horvitz and Thompson 1952).
        """
        begun = self.begun
        delays = [
            (self._begun_before(now - timedelta(seconds=delay)), count)
            for runs in self.pods.values()
            for delay, count in runs.delays.items()
        ]
        unknown = begun.failed - sum(count for _, count in delays)
        if unknown < 0 or not begun.failed or not begun.count:
            return begun
        weights = unknown / begun.count + sum(count / max(by, LEAST * begun.count) for by, count in delays)
        had_time = min(max(round(begun.failed / weights), begun.ended), begun.count)
        return replace(begun, young=begun.count - had_time)

    def _begun_before(self, at: datetime) -> int:
        """How many had begun at the first note from then on: those by then at least."""
        return next((count for noted, count in self.begun_by if noted >= at), self.begun.count)

    @property
    def begun(self) -> Begun:
        """The row's runs: every one of its own pods, and of a pod that ran before those since it was asked first."""
        return Begun.sum(runs.every if uid in self.own else runs.latest for uid, runs in self.pods.items())

    def version_before(self, least: int) -> Begun | None:
        """The runs of the version before, in its whole life or since this row began, whichever failed more; None where fewer than `least` ended."""
        both = (Begun.sum(each.whole_life for each in self.previous.values()), Begun.sum(each.latest for each in self.previous.values()))
        return max((runs for runs in both if runs.ended >= least), key=lambda runs: runs.failed_percent, default=None)


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


def _ended(said: Activity) -> Begun:
    return Begun(said.runs.succeeded, said.runs.failed)
