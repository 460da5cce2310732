"""Decides which runs keep their spans and content when their hour is thinned: stored runs, and those that arrive later. It deletes none."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import msgspec

from dynamiq_operator.model.runs import FAILED_STATUSES
from dynamiq_recorder.model import MICROSECONDS, Run
from dynamiq_recorder.store.database import Connection, Question
from dynamiq_recorder.store.tally import HOUR

OLD, BY_RATIO = "thinned_until", "thinned_by_ratio_until"
"""Notes of the hour, in seconds, before which spans have been thinned: by age, and by ratio."""
RATIO, SLOWEST = "thinned_ratio", "thinned_slowest"
"""Notes of the parts that were kept, in units of 1/WHOLE."""
WHOLE = 2**32
NOTES: Question = ("SELECT name, value FROM notes WHERE name IN (?, ?, ?, ?)", (OLD, BY_RATIO, RATIO, SLOWEST))


class Thinned(msgspec.Struct, frozen=True):
    """A store's notes: seconds since 1970 before which spans are thinned, and parts of runs that keep them."""

    old: int = 0
    by_ratio: int = 0
    ratio: float = 1.0
    slowest: float = 0.0

    @classmethod
    def of(cls, notes: Mapping[str, int]) -> Thinned:
        return cls(notes.get(OLD, 0), notes.get(BY_RATIO, 0), notes.get(RATIO, WHOLE) / WHOLE, notes.get(SLOWEST, 0) / WHOLE)

    @property
    def until(self) -> int:
        """Returns the second from which on all spans are stored."""
        return max(self.old, self.by_ratio)

    def reaches(self, run: Run) -> bool:
        """Returns True if a run loses its details, unless it failed or is slow."""
        at = run.started_at
        return at < self.until * MICROSECONDS and (at < self.old * MICROSECONDS or share(run.id) >= self.ratio)


class Thinning:
    """The same with the durations of an hour's runs, each hour read once."""

    def __init__(self, connection: Connection, thinned: Thinned) -> None:
        self._connection, self._thinned = connection, thinned
        self._slow: dict[tuple[int, int], int] = {}

    def takes(self, run: Run, app: int) -> bool:
        """Returns True if a new run that is reached loses its details."""
        if run.status in FAILED_STATUSES:
            return False
        hour = run.started_at // MICROSECONDS // HOUR * HOUR
        if (app, hour) not in self._slow:
            self._slow[app, hour] = slow_from(self._connection, *of_hour(self._connection, app, hour), self._thinned.slowest)
        return 0 <= self._slow[app, hour] >= run.duration

    def took(self, run: Run) -> bool:
        """Returns True if a stored run has lost its details."""
        return not run.spans and not run.content_kept and self._thinned.reaches(run)


def of_hour(connection: Connection, app: int, hour: int) -> tuple[str, tuple[int, int, int]]:
    """Returns SQL after SELECT, with its parameters: the runs of an App's hour."""
    source = f"FROM runs{connection.by('runs_time')} WHERE app_key = ? AND started_at >= ? AND started_at < ?"
    return source, (app, hour * MICROSECONDS, (hour + HOUR) * MICROSECONDS)


def slow_from(connection: Connection, source: str, times: Sequence[int], slowest: float) -> int:
    """Returns the duration above which runs are the slowest; -1 if all are."""
    count = connection.all(f"SELECT count(*) {source}", times)[0][0]
    lines = connection.all(f"SELECT duration {source} ORDER BY duration DESC LIMIT 1 OFFSET ?", (*times, math.ceil(count * slowest)))
    return int(lines[0][0]) if lines else -1


def share(run_id: str) -> float:
    """Returns a number from 0 to 1 that is always the same for a run."""
    return zlib.crc32(run_id.encode()) / WHOLE
