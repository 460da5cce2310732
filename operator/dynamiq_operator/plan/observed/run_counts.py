"""Adds up the runs of one row over its containers and its pods, including deleted ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dynamiq_operator.plan.observed.activity import Activity

NOTES_MOST = 300
"""The number of notes of how many runs had begun by a time."""
LEAST = 0.5
"""The least part of all runs that counts as having had time to fail. A few early failures then never outweigh the rest."""


@dataclass(frozen=True)
class Begun:
    """Runs that began: succeeded, failed by the server, or in flight now or when their container ended.

    A wrong request counts as in flight until it is refused, and then no longer. `young`: runs in flight that began too recently to have
    failed, by the usual duration of failures; they do not count.
    """

    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    young: int = 0

    @classmethod
    def sum(cls, parts: Iterable[Begun]) -> Begun:
        items = tuple(parts)
        return cls(
            *(sum(values) for values in zip(*((each.succeeded, each.failed, each.in_flight, each.young) for each in items), strict=True))
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
    """Runs of one pod: `before` its first reading, and `since` then, without those in flight. `last`: its last report.

    `delays`: failures since then, by their duration in whole seconds; 0 if unknown.
    """

    before: Begun
    since: Begun
    last: Activity
    delays: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def first(cls, activity: Activity) -> PodRuns:
        return cls(_ended(activity), Begun(), activity)

    def then(self, activity: Activity) -> PodRuns:
        """Returns the runs after the pod's next report.

        A restarted container counts from 0. The runs in flight in the container before were cut off.
        """
        now, previous = _ended(activity), _ended(self.last)
        fewer = now.succeeded < previous.succeeded or now.failed < previous.failed
        began_anew = fewer or (activity.ready_seconds or 0.0) < (self.last.ready_seconds or 0.0)
        if began_anew:
            added = replace(now, in_flight=self.last.in_flight)
        else:
            added = Begun(now.succeeded - previous.succeeded, now.failed - previous.failed)
        delays = dict(self.delays)
        if added.failed:
            earlier = 0.0 if began_anew else self.last.failed_seconds
            delay = 0
            if activity.failed_seconds is not None and earlier is not None:
                delay = int(max(activity.failed_seconds - earlier, 0.0) / added.failed)
            delays[delay] = delays.get(delay, 0) + added.failed
        return replace(self, since=Begun.sum((self.since, added)), last=activity, delays=delays)

    @property
    def latest(self) -> Begun:
        """Runs since the first reading. Runs in flight at the last reading count as begun, whatever happens to the pod."""
        return Begun.sum((self.since, Begun(in_flight=self.last.in_flight)))

    @property
    def every(self) -> Begun:
        return Begun.sum((self.before, self.latest))

    @property
    def whole_life(self) -> Begun:
        """All runs, without those too recent to have failed, estimated from the mean duration of failures at a constant rate."""
        every, life, took = self.every, self.last.ready_seconds, self.last.failed_seconds
        if not life or not took or not every.failed:
            return every
        return replace(every, young=min(every.in_flight, round(every.count * min(took / every.failed / life, 1 - LEAST))))


@dataclass(frozen=True)
class RunCounts:
    """The counted runs of the row `row`: by uid of the pod. `own`: pods that started after the row did.

    - `restarts`: the earlier restarts of a pod that started before the row.
    - `previous`: the pods of the version that was live before.
    - `last_look`: the row's runs near the end of its watch; None before.
    - `begun_by`: notes of how many runs had begun by a time.

    Forgotten counts are read again, and continue from there.
    """

    row: str = ""
    pods: Mapping[str, PodRuns] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    restarts: Mapping[str, int] = field(default_factory=dict)
    previous: Mapping[str, PodRuns] = field(default_factory=dict)
    last_look: Begun | None = None
    begun_by: tuple[tuple[datetime, int], ...] = ()

    def noted(self, now: datetime) -> RunCounts:
        """Returns the counts with a note of how many runs have begun by now. If there are too many notes, every second one is dropped."""
        notes = (*self.begun_by, (now, self.begun.count))
        return replace(self, begun_by=notes if len(notes) <= NOTES_MOST else notes[::2])

    def looked_at(self, now: datetime) -> Begun:
        """Returns the row's runs, without those too recent to have failed by now.

        Each failure is one of the runs that had begun its duration before now. The harmonic mean of these numbers of runs, over the
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
        """Returns how many runs had begun at the first note since `at`; at least so many had begun by then."""
        return next((count for noted, count in self.begun_by if noted >= at), self.begun.count)

    @property
    def begun(self) -> Begun:
        """The row's runs: all runs of its own pods, and of older pods those since their first reading."""
        return Begun.sum(runs.every if uid in self.own else runs.latest for uid, runs in self.pods.items())

    def version_before(self, least: int) -> Begun | None:
        """Returns the runs of the version before: of its whole life, or since this row began, whichever failed more.

        None if fewer than `least` ended.
        """
        both = (Begun.sum(each.whole_life for each in self.previous.values()), Begun.sum(each.latest for each in self.previous.values()))
        return max((runs for runs in both if runs.ended >= least), key=lambda runs: runs.failed_percent, default=None)


def updated(counted: Mapping[str, PodRuns], activities: Mapping[str, Activity]) -> dict[str, PodRuns]:
    """Returns the counts with the pods' new reports; a repeated report counts once."""
    reported = {uid: counted[uid].then(each) if uid in counted else PodRuns.first(each) for uid, each in activities.items()}
    return {**counted, **reported}


def _ended(activity: Activity) -> Begun:
    return Begun(activity.runs.succeeded, activity.runs.failed)
