"""What is kept of an App between two of its reconciles, beside the cache: it can be dropped at any time, and is then read anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic

from dynamiq_operator.controller.activity import Readings
from dynamiq_operator.controller.archiving import Archiving
from dynamiq_operator.controller.cache import AppKey
from dynamiq_operator.controller.comparisons import Asking
from dynamiq_operator.controller.references import CachedKeys
from dynamiq_operator.controller.verifying import Verification
from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.kube import errors
from dynamiq_operator.model.objects import Record
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason, ReconcileFailure
from dynamiq_operator.plan.observed.run_counts import RunCounts
from dynamiq_operator.plan.snapshot import AccessKeys

PROBLEM_KEPT = 2 * errors.CHILD_MOST
"""Seconds after which a problem that was not found again is forgotten."""


@dataclass(frozen=True)
class KeptProblem:
    """`since`: the monotonic time at which it was found last; `found`: how often in a row, of the same manifest."""

    problem: ChildProblem
    since: float
    found: int = 1

    @classmethod
    def after(cls, before: KeptProblem | None, problem: ChildProblem, now: float) -> KeptProblem:
        """The problem that was found at `now`, after `before`."""
        again = before is not None and before.problem.is_of(problem.digest) and before.problem.reason is problem.reason
        return cls(problem, now, before.found + 1 if before is not None and again else 1)

    def at(self, now: float) -> ChildProblem:
        """The problem as a plan sees it at a monotonic time."""
        if self.problem.reason not in (ProblemReason.REFUSED, ProblemReason.DENIED):
            return self.problem
        return replace(self.problem, retry_in=max(self.since + errors.retry_child(self.found) - now, 0.0))


@dataclass(frozen=True)
class SeenSettings:
    """Settings of an App that are not noted yet as recorded. `after`: the sequence of the newest row then."""

    generation: int
    at: datetime
    after: int | None
    is_recorded: bool = False


@dataclass
class AppState:
    """`uid`: of the App that all of it is of. `problems`: children that could not be made; `row_problems`: by name, rows that may not be written."""

    uid: str = ""
    ledger: Ledger | None = None
    problems: dict[ChildKey, KeptProblem] = field(default_factory=dict)
    row_problems: dict[str, KeptProblem] = field(default_factory=dict)
    access_keys: AccessKeys | None = None
    access_keys_pointers: frozenset[tuple[str, str]] = frozenset()
    """What pointed at the Secret of Access Keys when it was read."""
    access_keys_since: tuple[str, datetime] | None = None
    """The resourceVersion of the Secret of Access Keys that was observed last, and when it was observed first."""
    gate_keys: str | None = None
    """The version of the Access Keys that the gate has digests of, empty where it has none; None where that is to be read."""
    referenced_keys: CachedKeys = field(default_factory=dict)
    readings: Readings = field(default_factory=Readings)
    """What its pods said of their calls."""
    counts: RunCounts = field(default_factory=RunCounts)
    """Runs that have been counted, where a version is watched."""

    asking: Asking = field(default_factory=Asking)
    """What the recorder said of its row, where a version is watched."""

    archiving: Archiving = field(default_factory=Archiving)
    """What the archive has acknowledged of rows that retention is about to let go."""

    verification: Verification = field(default_factory=Verification)
    """What the new pods of its row have answered, where they are asked before a caller reaches them."""

    seen_settings: SeenSettings | None = None
    """Settings that are to be compared with those that were recorded."""
    settings_refused_until: float = 0.0
    """The monotonic time until which its settings are not recorded, since the API server refused a record, or one can't be read."""
    changes_kept_from: int = 0
    """The sequence of the oldest row that was kept when records were let go last; 0 where retention has let go of none."""

    failure: ReconcileFailure | None = None
    """What of the last reconcile failed, for the App to say."""
    told_at: float = 0.0
    """The monotonic time since which it has been said in these words."""
    failed_passes: int = 0
    """Consecutive reconciles of which something failed."""

    def keep_problem(self, key: ChildKey, problem: ChildProblem, now: float) -> None:
        """Keeps, at a monotonic time, why a child could not be made."""
        self.problems[key] = KeptProblem.after(self.problems.get(key), problem, now)

    def forget_problems(self, now: float) -> None:
        """Drops the problems of what nobody asks for any more: what is asked for is tried, and found again, long before."""
        self.problems = {key: kept for key, kept in self.problems.items() if now - kept.since <= PROBLEM_KEPT}
        self.row_problems = {name: kept for name, kept in self.row_problems.items() if now - kept.since <= PROBLEM_KEPT}

    def keep_row_problem(self, row: str, problem: ChildProblem, now: float) -> None:
        """Keeps, at a monotonic time, why a row could not be written."""
        self.row_problems[row] = KeptProblem.after(self.row_problems.get(row), problem, now)

    def update_ledger(self, record: Record) -> None:
        """Puts a row, as it is now, into the ledger, where that has been read."""
        if self.ledger is not None:
            self.ledger = self.ledger.having([record])

    def remove_from_ledger(self, name: str) -> None:
        """Takes a row that was deleted out of the ledger, where that has been read."""
        if self.ledger is not None:
            self.ledger = self.ledger.without(name)


class AppStates:
    """The state of each App. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self._by_app: dict[AppKey, AppState] = {}

    def of(self, app: AppKey) -> AppState:
        """The App's state, empty where there is none yet."""
        return self._by_app.setdefault(app, AppState())

    def __contains__(self, app: AppKey) -> bool:
        return app in self._by_app

    def of_uid(self, app: AppKey, uid: str) -> AppState:
        """The same, empty where what is kept is of an App of the same name that was deleted."""
        if self.of(app).uid not in ("", uid):
            self.drop(app)
        state = self.of(app)
        state.uid = uid
        return state

    def drop(self, app: AppKey) -> None:
        """Drops the state of an App that is deleted."""
        dropped = self._by_app.pop(app, None)
        if dropped is not None:
            dropped.verification.stop()

    def clear(self) -> None:
        """Drops all states: another replica may have led meanwhile."""
        for app in list(self._by_app):
            self.drop(app)

    def invalidate(self, app: AppKey) -> None:
        """Drops what no watch keeps up: whether the Secret of Access Keys is there."""
        self.of(app).access_keys = self.of(app).gate_keys = None
