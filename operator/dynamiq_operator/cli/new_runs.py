"""Finds the runs that ended since a watch began."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dynamiq_operator.cli.parsing import moment
from dynamiq_operator.cli.recorder import Query, RecorderClient
from dynamiq_operator.model.recorder import RunSort

OVERTAKEN, WATCHED_MOST = 500, 5_000
"""The known runs in a row after which a check ends, and the most runs that a check reads."""
REMEMBERED = 20_000
LONGEST = "1d"
"""The longest run that a watch still sees. No check reads further back."""
NEWEST_FIRST = ("sort", RunSort.NEWEST.value)


class NewRuns:
    """The runs of a filter that were missing at the check before.

    A run appears when it has ended, so it may be listed behind runs that began after it. A check therefore reads until OVERTAKEN known runs
    in a row, or until WATCHED_MOST runs. It never reads further back than `_since`, where nobody can decide if a run is new. `_since`
    follows the checks at a distance of LONGEST: otherwise each check of a rare filter would read more than the one before.
    """

    def __init__(self, recorder: RecorderClient, path: str, query: Query, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._recorder, self._path, self._now = recorder, path, now
        self._query = [(name, value) for name, value in query if name != "from"]
        self._since = max(dict(query).get("from", ""), moment(LONGEST, now()))
        self._seen: dict[str, str] = {}
        first = list(self._listed(OVERTAKEN))
        self.know(first)
        if len(first) == OVERTAKEN:
            self._since = _place(first[-1])

    def know(self, runs: Iterable[dict[str, Any]]) -> None:
        """Marks runs as known: they are no longer new."""
        self._seen.update((each["id"], _place(each)) for each in runs)

    def read(self) -> list[dict[str, Any]]:
        """Returns the runs that are new since the last check, oldest first."""
        fresh: list[dict[str, Any]] = []
        known, oldest = 0, moment(LONGEST, self._now())
        for run in self._listed(WATCHED_MOST):
            if run["id"] not in self._seen and _place(run) > self._since:
                fresh.append(run)
                known = 0
            elif (known := known + 1) == OVERTAKEN:
                break
        self.know(fresh)
        self._since = max(self._since, oldest)  # not before the reading: a run may have ended between this check and the one before
        self._forget()
        return fresh[::-1]

    def _listed(self, most: int) -> Iterator[dict[str, Any]]:
        return self._recorder.listed(self._path, [*self._query, ("from", self._since), NEWEST_FIRST], most)

    def _forget(self) -> None:
        """Forgets the oldest runs, and moves `_since` up to the oldest one that is remembered."""
        if len(self._seen) > REMEMBERED:
            newest = sorted(self._seen.items(), key=lambda run: run[1])[-REMEMBERED // 2 :]
            self._seen, self._since = dict(newest), max(self._since, newest[0][1])


def _place(run: dict[str, Any]) -> str:
    """Returns the time by which the recorder lists a run: of a background run, its end less the time that pods spent on it."""
    if (busy := run.get("busy_ms")) is None:
        return str(run["started_at"])
    began = datetime.fromisoformat(run["ended_at"]) - timedelta(milliseconds=busy)
    return began.isoformat(timespec="microseconds").replace("+00:00", "Z")
