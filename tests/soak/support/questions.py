"""Measures a store's times for people's requests about a month of runs: list pages, filters, a day's metrics by row, comparisons."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from dynamiq_operator.model.runs import MetricsGroup, MetricsInterval, RunStatus
from dynamiq_recorder.model import Filter
from dynamiq_recorder.store.results import NEWEST_FIRST, Sort
from dynamiq_recorder.store.sql_store import Store
from tests.soak.support.many_runs import DAY, MODELS, Month

PAGE, METRICS, FILTER, COMPARISON = "a page of the list", "a day's metrics by row", "a filter", "a comparison of two rows"
MOST = {PAGE: 100.0, FILTER: 200.0, METRICS: 200.0, COMPARISON: 300.0}
"""Milliseconds that p95 may take."""


@dataclass
class Times:
    """Milliseconds by request; `slowest` has the slowest filter."""

    of: dict[str, list[float]] = field(default_factory=dict)
    by_filter: dict[str, list[float]] = field(default_factory=dict)

    def p(self, question: str, part: float) -> float:
        times = sorted(self.of[question])
        return times[min(len(times) - 1, int(len(times) * part))]

    def report(self) -> list[str]:
        lines = [
            f"  {question}: p50 {self.p(question, 0.5):.1f} ms, p95 {self.p(question, 0.95):.1f} ms, at most {MOST[question]:g}"
            for question in MOST
        ]
        slow = sorted(((sorted(times)[int(len(times) * 0.95)], name) for name, times in self.by_filter.items()), reverse=True)
        return [*lines, "  filters, p95: " + ", ".join(f"{name} {took:.1f} ms" for took, name in slow)]

    @property
    def too_slow(self) -> list[str]:
        return [question for question, most in MOST.items() if self.p(question, 0.95) > most]


def filters(month: Month, app: str, draw: random.Random) -> dict[str, Filter]:
    """Returns one filter of each kind that the list of runs has."""
    since = month.until - draw.randrange(1, 30) * DAY
    until = since + DAY
    row = draw.choice(month.rows[app])
    return {
        "of a row": Filter(app_uid=app, row_uid=row.uid),
        "failed": Filter(app_uid=app, status=(RunStatus.FAILED,)),
        "failed on a day": Filter(app_uid=app, status=(RunStatus.FAILED,), since=since, until=until),
        "on a day": Filter(app_uid=app, since=since, until=until),
        "of a version, slow": Filter(app_uid=app, workflow_version=row.workflow_version, min_duration=2_000_000),
        "of a session": Filter(app_uid=app, session_id=f"session-{draw.randrange(month.runs // 5)}"),
        "of a user": Filter(app_uid=app, user_id=f"user-{draw.randrange(5000)}"),
        "of a tag": Filter(app_uid=app, tags=(f"customer-{draw.randrange(50)}",)),
        "of a model": Filter(app_uid=app, model=draw.choice(MODELS)),
        "of a trigger": Filter(app_uid=app, trigger="nightly"),
        "slow": Filter(app_uid=app, min_duration=3_000_000),
        "dear": Filter(app_uid=app, min_cost=3_000_000),
    }


@dataclass
class Asking:
    """A user who sends requests to one store, and their times."""

    store: Store
    month: Month
    draw: random.Random
    times: Times = field(default_factory=Times)

    def about(self, app: str) -> None:
        """Sends each request once, about this App."""
        rows = self.month.rows[app]
        place, day = self.draw.randrange(1, len(rows)), self.month.until - self.draw.randrange(1, 30) * DAY
        everything = Filter(app_uid=app)
        self._timed(PAGE, partial(self.store.page, everything, NEWEST_FIRST, limit=25, offset=25 * self.draw.randrange(4)))
        self._timed(PAGE, partial(self.store.page, everything, self.draw.choice(SORTS), limit=25))
        for name, criteria in filters(self.month, app, self.draw).items():
            took = self._timed(FILTER, partial(self.store.page, criteria, limit=25))
            self.times.by_filter.setdefault(name, []).append(took)
        by_row = (app, day, day + DAY, MetricsInterval.HOUR, MetricsGroup.DEPLOYMENT)
        self._timed(METRICS, partial(self.store.metrics, *by_row))
        pair = [row.uid for row in rows[place - 1 : place + 1]]
        self._timed(COMPARISON, partial(self.store.figures, app, pair, nodes=True))

    def _timed(self, question: str, call: Callable[[], object]) -> float:
        began = time.perf_counter()
        call()
        took = (time.perf_counter() - began) * 1000
        self.times.of.setdefault(question, []).append(took)
        return took


SORTS = (NEWEST_FIRST, Sort("started_at", False), Sort("duration"), Sort("cost"))


def ask(store: Store, month: Month, times: int, seed: int) -> Times:
    """Sends each request so often, about the big App and others in turn."""
    asking = Asking(store, month, random.Random(seed))  # noqa: S311 - figures, not secrets
    for number in range(times):
        asking.about(month.apps[0] if number % 2 else asking.draw.choice(month.apps[1:]))
    return asking.times
