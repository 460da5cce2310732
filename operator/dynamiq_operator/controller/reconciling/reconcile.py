"""Reconciles one App: observe, plan, execute. An error requeues the App with backoff. It makes no decision: plans do."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.controller.execute.executor import Executor, Failure
from dynamiq_operator.controller.leading.leader import LeadershipLost
from dynamiq_operator.controller.notifications.notifier import Notifier
from dynamiq_operator.controller.observing.observe import Observer
from dynamiq_operator.controller.reconciling.failures import log_failures, of_operations, of_pass, reason
from dynamiq_operator.controller.telemetry.metrics import OperatorMetrics
from dynamiq_operator.controller.upkeep.settings_recorder import SettingsRecorder
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import errors
from dynamiq_operator.plan.observed.problems import ReconcileFailure
from dynamiq_operator.plan.operations import Group, Plan
from dynamiq_operator.plan.output.groups import FAILURE
from dynamiq_operator.plan.planner import make_plan
from dynamiq_operator.plan.status.failures import failure_operations

CHANGES_BEFORE_THROTTLING = 8
"""Consecutive reconciles with changes after which the next one is delayed: a plan that never ends must not spin."""
THROTTLE_SECONDS, THROTTLE_MOST = 1.0, 60.0
REPORTED_AGAIN_AFTER = 60.0
"""Seconds for which an App reports a failure in its first words. New words each time, with a port or an id, would be a write each time."""
RECORDED_LATER = 5.0
"""Seconds after which changes of an App's settings that could not be recorded are tried again."""
REQUEUE_AFTER_MIN = 0.1
"""Seconds until the next reconcile that a plan can ask for, at least."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Changes:
    """Consecutive reconciles of an App with changes, `passes` in all. `alike`: the last ones, which did the same: `what`."""

    passes: int
    alike: int
    what: tuple[tuple[str, str], ...]

    @classmethod
    def after(cls, before: _Changes | None, plan: Plan) -> _Changes:
        """Returns the changes with a reconcile that executes this plan."""
        what = tuple(
            (group.name, f"{type(each).__name__} {getattr(each, 'name', '')}") for group in plan.groups for each in group.operations
        )
        if before is None:
            return cls(1, 1, what)
        return cls(before.passes + 1, before.alike + 1 if what == before.what else 1, what)

    @property
    def throttle(self) -> float:
        """Seconds until the next reconcile that nothing else requests. They double while the same is done in vain."""
        return errors.backoff(max(self.alike - CHANGES_BEFORE_THROTTLING, 0) + 1, THROTTLE_SECONDS, THROTTLE_MOST)


class Reconciler:
    """The reconciler of the Apps that a worker takes from the queue."""

    def __init__(
        self,
        queue: WorkQueue[AppKey],
        observer: Observer,
        executor: Executor,
        states: AppStates,
        metrics: OperatorMetrics,
        notifier: Notifier,
        settings: SettingsRecorder,
    ) -> None:
        self._queue, self._observer, self._executor, self._states, self._metrics = queue, observer, executor, states, metrics
        self._notifier, self._settings = notifier, settings
        self._changes: dict[AppKey, _Changes] = {}

    async def process(self, app: AppKey) -> None:
        """Reconciles an App, and ends its turn in the queue.

        Raises nothing: no error ends a worker, or keeps the App from its next reconcile.
        """
        failed, began = True, monotonic()
        try:
            failed = await self._process(app)
        except Exception:
            log.exception("App %s/%s: a failure could not be noted", *app)
        finally:
            self._metrics.reconcile_seconds.observe(monotonic() - began)
            self._queue.done(app, failed=failed)

    async def _process(self, app: AppKey) -> bool:
        """Returns True if something failed, which is noted."""
        try:
            failures = await self.reconcile(app)
        except LeadershipLost:
            log.warning("App %s/%s: stopped, since another replica may lead by now", *app)
            return True
        except Exception as error:
            await self._note(app, of_pass(error, self._count(app)), [error])
            return True
        passes = self._count(app) if failures else 0
        await self._note(app, of_operations(failures, passes), [failure.error for failure in failures], is_reported=True)
        return bool(failures)

    async def reconcile(self, app: AppKey) -> tuple[Failure, ...]:
        """Reconciles once; returns what of the plan failed. After a change without a failure the App is requeued at once, to observe the
        result.

        Raises errors.ApiError of a read, LeadershipLost, and any error of an observation or a plan.
        """
        self._settings.note(app)
        snapshot = await self._observer.observe(app)
        plan = make_plan(snapshot)
        self._notifier.note_questions(snapshot)
        if plan.requeue_after is not None:
            self._queue.add_after(app, max(plan.requeue_after, REQUEUE_AFTER_MIN))
        if not plan.operations:
            self._changes.pop(app, None)
            await self._record_settings(app)
            return ()
        for operation in plan.operations:
            log.info("App %s/%s: %s", *app, type(operation).__name__)
        changes = self._changes[app] = _Changes.after(self._changes.get(app), plan)
        if changes.alike == CHANGES_BEFORE_THROTTLING:
            log.warning("App %s/%s: %d consecutive reconciles changed the same, and the App is not as desired yet", *app, changes.alike)
        with self._notifier.during(snapshot) as notify:
            failures = await self._executor.execute(app, plan, notify)
        if failures:
            return failures
        if changes.passes < CHANGES_BEFORE_THROTTLING:
            self._queue.add(app)
        else:
            self._queue.add_after(app, changes.throttle)
        return ()

    async def _record_settings(self, app: AppKey) -> None:
        """Writes AppChanges once nothing else is to be done: no deploy waits for that, and a failure affects nothing else.

        Raises LeadershipLost.
        """
        try:
            later = await self._settings.record(app)
        except errors.ApiError as error:
            log.warning("App %s/%s: a change of its settings is recorded later: %s", *app, error)
            later = RECORDED_LATER
        if later is not None:
            self._queue.add_after(app, later)

    def _count(self, app: AppKey) -> int:
        """Counts a failed pass; returns how many there were in a row."""
        state = self._states.of(app)
        state.failed_passes += 1
        return state.failed_passes

    async def _note(self, app: AppKey, failure: ReconcileFailure | None, exceptions: list[Exception], *, is_reported: bool = False) -> None:
        """Keeps what failed, for the next plan to report. If there may be no plan, reports it at once. `is_reported`: by a plan."""
        for error in exceptions:
            self._metrics.errors.labels(reason(error)).inc()
        if not exceptions and app not in self._states:
            return  # nothing is kept of a missing App
        state, now = self._states.of(app), self._states.clock()
        if failure is not None and state.failure is not None and failure.reason == state.failure.reason:
            failure = failure if now - state.reported_at >= REPORTED_AGAIN_AFTER else state.failure
        state.reported_at = now if failure != state.failure else state.reported_at
        if not exceptions:
            state.failed_passes = 0
            if state.failure is not None:
                log.info("App %s/%s is reconciled again", *app)
                self._queue.add(app)
        elif state.failure != failure or state.failed_passes == 1:
            log_failures(app, exceptions)
        state.failure = failure
        if failure is not None and not is_reported:
            await self._report(app, failure)

    async def _report(self, app: AppKey, failure: ReconcileFailure) -> None:
        """Writes the condition and the Event without a plan: the plan may be what failed."""
        try:
            cached = self._observer.app(app)
            if cached is not None:
                operations = failure_operations(cached, failure, datetime.now(UTC))
                await self._executor.execute(app, Plan((Group(FAILURE, operations),)))
        except LeadershipLost:
            return  # the next leader fails and reports by itself
        except Exception:
            log.exception("App %s/%s: a failure could not be written to its status", *app)
