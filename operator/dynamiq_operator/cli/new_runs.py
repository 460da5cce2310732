"""The runs that have ended since somebody began to watch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.cli.parsing import moment
from dynamiq_operator.cli.recorder import Query, Recorder
from dynamiq_operator.cli.run_arguments import OVERTAKEN, WATCHED_MOST
from dynamiq_operator.model.recorder import RunSort

REMEMBERED = 20_000
LONGEST = "1d"
"""How long a run may take, to be seen when it has ended: no look goes further back."""
NEWEST_FIRST = ("sort", RunSort.NEWEST.value)


class NewRuns:
    """Of the runs that a filter takes, those that were not there before.

    A run comes when it has ended, so it may stand behind some that began after it. A look goes on until OVERTAKEN runs in a row are known, or
    WATCHED_MOST were looked at, and no further back than `_since`: of what stands there nobody can say whether it is new. `_since` follows the
    looks at a distance of LONGEST, so that a filter which takes few runs has the recorder go through no more each time.
    """

    def __init__(self, recorder: Recorder, path: str, query: Query, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._recorder, self._path, self._now = recorder, path, now
        self._query = [(name, value) for name, value in query if name != "from"]
        self._since = max(dict(query).get("from", ""), moment(LONGEST, now()))
        self._seen: dict[str, str] = {}
        first = list(self._listed(OVERTAKEN))
        self.know(first)
        if len(first) == OVERTAKEN:
            self._since = first[-1]["started_at"]

    def know(self, runs: Iterable[dict[str, Any]]) -> None:
        """These are not new."""
        self._seen.update((each["id"], each["started_at"]) for each in runs)

    def look(self) -> list[dict[str, Any]]:
        """Those that are new since the last look, the oldest first."""
        fresh: list[dict[str, Any]] = []
        known, oldest = 0, moment(LONGEST, self._now())
        for each in self._listed(WATCHED_MOST):
            if each["id"] not in self._seen and each["started_at"] > self._since:
                fresh.append(each)
                known = 0
            elif (known := known + 1) == OVERTAKEN:
                break
        self.know(fresh)
        self._since = max(self._since, oldest)  # not before: a run may have ended between this look and the one before
        self._forget()
        return fresh[::-1]

    def _listed(self, most: int) -> Iterator[dict[str, Any]]:
        return self._recorder.listed(self._path, [*self._query, ("from", self._since), NEWEST_FIRST], most)

    def _forget(self) -> None:
        """The oldest, and looks back no further than to what is left."""
        if len(self._seen) > REMEMBERED:
            newest = sorted(self._seen.items(), key=lambda run: run[1])[-REMEMBERED // 2 :]
            self._seen, self._since = dict(newest), max(self._since, newest[0][1])
