"""Keeps what the operator knows of an App between two of its reconciles, beside the cache. It stores nothing: any of it can be dropped and
read anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic

from dynamiq_operator.controller.background.activity import KeptActivity
from dynamiq_operator.controller.background.archiving import KeptArchive
from dynamiq_operator.controller.background.comparisons import KeptComparison
from dynamiq_operator.controller.background.holding import KeptHolds
from dynamiq_operator.controller.background.placing import KeptPlacing
from dynamiq_operator.controller.background.verifying import KeptSmokeTest
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.kube import errors
from dynamiq_operator.model.app_status import FinishingVersion
from dynamiq_operator.model.contract import Contract
from dynamiq_operator.model.objects import Row
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason, ReconcileFailure
from dynamiq_operator.plan.observed.run_counts import RunCounts
from dynamiq_operator.plan.observed.secrets import AccessKeys, CallbackKey

CachedKeys = dict[ChildKey, tuple[frozenset[str] | None, float]]
"""The keys of an object, None if it is missing, and the monotonic time at which they were read."""

PROBLEM_KEPT = 2 * errors.CHILD_MOST
"""Seconds after which a problem that did not recur is dropped."""


@dataclass(frozen=True)
class KeptProblem:
    """A problem, and when it occurred. `since`: the monotonic time of the last time. `times`: how often in a row, for the same manifest."""

    problem: ChildProblem
    since: float
    times: int = 1

    @classmethod
    def after(cls, before: KeptProblem | None, problem: ChildProblem, now: float) -> KeptProblem:
        """Returns the problem as it occurred at `now`, after `before`."""
        again = before is not None and before.problem.is_of(problem.digest) and before.problem.reason is problem.reason
        return cls(problem, now, before.times + 1 if before is not None and again else 1)

    def at(self, now: float) -> ChildProblem:
        """Returns the problem for a plan at a monotonic time. If it was refused or denied, it has the seconds until the next attempt."""
        if self.problem.reason not in (ProblemReason.REFUSED, ProblemReason.DENIED):
            return self.problem
        return replace(self.problem, retry_in=max(self.since + errors.retry_child(self.times) - now, 0.0))


@dataclass(frozen=True)
class SeenSettings:
    """Settings of an App that are not marked as recorded yet.

    `at`: when the change was first seen. `after`: the sequence of the newest row at that time.
    """

    generation: int
    at: datetime
    after: int | None
    is_recorded: bool = False


@dataclass
class AppState:
    """The state that is kept of the App of this uid.

    `problems`: children that could not be written. `row_problems`: by name, rows that could not be written.
    """

    uid: str = ""
    ledger: Ledger | None = None
    problems: dict[ChildKey, KeptProblem] = field(default_factory=dict)
    row_problems: dict[str, KeptProblem] = field(default_factory=dict)
    access_keys: AccessKeys | None = None
    access_keys_pointers: frozenset[tuple[str, str]] = frozenset()
    """Why the Secret of Access Keys was read last: a new pointer makes it be read again."""
    access_keys_since: tuple[str, datetime] | None = None
    """The resourceVersion of the Secret of Access Keys that was observed last, and when it was observed first."""
    callback_key: CallbackKey | None = None
    callback_key_generation: int = 0
    """The App's generation when the Secret of the key for callbacks was read last."""
    gate_keys: str | None = None
    """The version of the Access Keys whose digests the gate has; empty if it has none, None if that is unread."""
    referenced_keys: CachedKeys = field(default_factory=dict)
    activity: KeptActivity = field(default_factory=KeptActivity)
    """The activity of its pods."""
    counts: RunCounts = field(default_factory=RunCounts)
    """Runs that have been counted, during the watch after a deploy."""

    comparison: KeptComparison = field(default_factory=KeptComparison)
    """The recorder's comparison of its row, during the watch after a deploy."""

    archive: KeptArchive = field(default_factory=KeptArchive)
    """The answers of the archive about rows that retention is about to delete."""

    verification: KeptSmokeTest = field(default_factory=KeptSmokeTest)
    """The answers of the new pods of its row to the smoke test, before callers reach them."""

    holds: KeptHolds = field(default_factory=KeptHolds)
    """The calls of the journal about open runs of rejected versions."""

    placing: KeptPlacing = field(default_factory=KeptPlacing)
    """The calls of the journal about where its conversations belong."""

    contracts: dict[str, Contract] = field(default_factory=dict)
    """Contracts of the flows of rows that are about to be pinned, by hash."""

    finishing_rows: dict[str, tuple[Row | None, datetime]] = field(default_factory=dict)
    """For labels of pins with open runs: their newest row, None if there is none, and when it was searched for."""
    finishing_shown: tuple[tuple[FinishingVersion, ...], datetime] | None = None
    """The finishing versions that its status shows, and when these were observed first."""

    seen_settings: SeenSettings | None = None
    """Settings that have to be compared with the recorded ones."""
    settings_refused_until: float = 0.0
    """The monotonic time until which its settings are not recorded: the API server refused an AppChange, or one is unreadable."""
    changes_kept_from: int = 0
    """The sequence of the oldest kept row when AppChanges were deleted last; 0 if retention has deleted no row."""

    failure: ReconcileFailure | None = None
    """The failure of the last reconcile, which the App's status reports."""
    reported_at: float = 0.0
    """The monotonic time since which it is reported with this message."""
    failed_passes: int = 0
    """Consecutive reconciles with a failure."""

    def stop_reads(self) -> None:
        """Ends what is read in the background."""
        for kept in (self.activity, self.comparison, self.archive, self.verification, self.holds, self.placing):
            kept.stop()

    def keep_problem(self, key: ChildKey, problem: ChildProblem, now: float) -> None:
        """Keeps why a child could not be written, with a monotonic time."""
        self.problems[key] = KeptProblem.after(self.problems.get(key), problem, now)

    def forget_problems(self, now: float) -> None:
        """Drops the problems of what is no longer needed: what is needed is tried, and fails again, long before."""
        self.problems = {key: kept for key, kept in self.problems.items() if now - kept.since <= PROBLEM_KEPT}
        self.row_problems = {name: kept for name, kept in self.row_problems.items() if now - kept.since <= PROBLEM_KEPT}

    def keep_row_problem(self, row: str, problem: ChildProblem, now: float) -> None:
        """Keeps why a row could not be written, with a monotonic time."""
        self.row_problems[row] = KeptProblem.after(self.row_problems.get(row), problem, now)

    def update_ledger(self, record: Row) -> None:
        """Updates a row in the ledger, if the ledger has been read."""
        if self.ledger is not None:
            self.ledger = self.ledger.having([record])

    def remove_from_ledger(self, name: str) -> None:
        """Removes a deleted row from the ledger, if the ledger has been read."""
        if self.ledger is not None:
            self.ledger = self.ledger.without(name)


class AppStates:
    """The states of all Apps. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self._by_app: dict[AppKey, AppState] = {}

    def of(self, app: AppKey) -> AppState:
        """Returns the App's state; an empty one if there is none yet."""
        return self._by_app.setdefault(app, AppState())

    def __contains__(self, app: AppKey) -> bool:
        return app in self._by_app

    def of_uid(self, app: AppKey, uid: str) -> AppState:
        """Returns the App's state; an empty one if the state is that of a deleted App with the same name."""
        if self.of(app).uid not in ("", uid):
            self.drop(app)
        state = self.of(app)
        state.uid = uid
        return state

    def drop(self, app: AppKey) -> None:
        """Drops the state of a deleted App, and ends its reads."""
        dropped = self._by_app.pop(app, None)
        if dropped is not None:
            dropped.stop_reads()

    def clear(self) -> None:
        """Drops all states: another replica may have led in the meantime."""
        for app in list(self._by_app):
            self.drop(app)

    def invalidate(self, app: AppKey) -> None:
        """Drops what no watch updates: the keys in the App's Secrets, and their version at the gate."""
        self.of(app).access_keys = self.of(app).gate_keys = self.of(app).callback_key = None
