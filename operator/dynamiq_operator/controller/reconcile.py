"""Reconciling one App: observe, plan, execute. What ends a reconcile with an error requeues the App with backoff."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cache import AppKey
from dynamiq_operator.controller.execute.executor import Executor, Failure
from dynamiq_operator.controller.failures import log_failures, of_operations, of_pass, reason
from dynamiq_operator.controller.leader import LeadershipLost
from dynamiq_operator.controller.metrics import Metrics
from dynamiq_operator.controller.notifications.notifier import Notifier
from dynamiq_operator.controller.observe import Observer
from dynamiq_operator.controller.settings_recorder import SettingsRecorder
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import errors
from dynamiq_operator.plan.groups import FAILURE
from dynamiq_operator.plan.observed.problems import ReconcileFailure
from dynamiq_operator.plan.operations import Group, Plan
from dynamiq_operator.plan.planner import make_plan
from dynamiq_operator.plan.status.failures import tell_failure

CHANGES_BEFORE_THROTTLING = 8
"""Consecutive reconciles that each changed something, after which the next one is delayed: a plan that never ends must not spin."""
THROTTLE_SECONDS, THROTTLE_MOST = 1.0, 60.0
TOLD_AGAIN_AFTER = 60.0
"""Seconds for which an App says of a failure what it said first: words that differ each time, by a port or an id, would be a write each time."""
RECORDED_LATER = 5.0
"""Seconds after which changes of an App's settings that could not be recorded are tried again."""
REQUEUE_AFTER_MIN = 0.1
"""Seconds: a plan that wants the next reconcile sooner gets it after these."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Changes:
    """`passes`: consecutive reconciles of an App that changed something; `alike`: the last of them, which did `what`."""

    passes: int
    alike: int
    what: tuple[tuple[str, str], ...]

    @classmethod
    def after(cls, before: _Changes | None, plan: Plan) -> _Changes:
        """With a reconcile that carries out this plan."""
        what = tuple(
            (group.name, f"{type(each).__name__} {getattr(each, 'name', '')}") for group in plan.groups for each in group.operations
        )
        if before is None:
            return cls(1, 1, what)
        return cls(before.passes + 1, before.alike + 1 if what == before.what else 1, what)

    @property
    def throttle(self) -> float:
        """Seconds until the next reconcile that nothing else asks for: longer and longer where the same is done in vain."""
        return min(THROTTLE_SECONDS * 2.0 ** min(max(self.alike - CHANGES_BEFORE_THROTTLING, 0), 16), THROTTLE_MOST)


class Reconciler:
    """Reconciles the Apps that a worker takes from the queue."""

    def __init__(
        self,
        queue: WorkQueue[AppKey],
        observer: Observer,
        executor: Executor,
        states: AppStates,
        metrics: Metrics,
        notifier: Notifier,
        settings: SettingsRecorder,
    ) -> None:
        self._queue, self._observer, self._executor, self._states, self._metrics = queue, observer, executor, states, metrics
        self._notifier, self._settings = notifier, settings
        self._changes: dict[AppKey, _Changes] = {}

    async def process(self, app: AppKey) -> None:
        """Reconciles an App and tells the queue how that ended. Raises nothing: no error ends a worker, or keeps the App from coming again."""
        failed, began = True, monotonic()
        try:
            failed = await self._process(app)
        except Exception:
            log.exception("App %s/%s: what failed could not be noted", *app)
        finally:
            self._metrics.reconciled(monotonic() - began)
            self._queue.done(app, failed=failed)

    async def _process(self, app: AppKey) -> bool:
        """Whether something failed, which is noted."""
        try:
            failures = await self.reconcile(app)
        except LeadershipLost:
            log.warning("App %s/%s: stopped, since another replica may lead by now", *app)
            return True
        except Exception as error:
            await self._note(app, of_pass(error, self._count(app)), [error])
            return True
        passes = self._count(app) if failures else 0
        await self._note(app, of_operations(failures, passes), [failure.error for failure in failures], told_by_plan=True)
        return bool(failures)

    async def reconcile(self, app: AppKey) -> tuple[Failure, ...]:
        """One reconcile; returns what of its plan failed. After a change without a failure the App is requeued at once, to observe what came of it.

        Raises errors.ApiError of a read, LeadershipLost, and whatever an observation or a plan raises.
        """
        self._settings.note(app)
        snapshot = await self._observer.observe(app)
        plan = make_plan(snapshot)
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
            log.warning("App %s/%s: %d reconciles in a row changed the same, and it is not as it should be yet", *app, changes.alike)
        with self._notifier.during(snapshot) as tell:
            failures = await self._executor.execute(app, plan, tell)
        if failures:
            return failures
        if changes.passes < CHANGES_BEFORE_THROTTLING:
            self._queue.add(app)
        else:
            self._queue.add_after(app, changes.throttle)
        return ()

    async def _record_settings(self, app: AppKey) -> None:
        """Once nothing is left to be done: no deploy waits for it, and where it fails nothing else does. Raises LeadershipLost."""
        try:
            later = await self._settings.record(app)
        except errors.ApiError as error:
            log.warning("App %s/%s: what changed of its settings is recorded later: %s", *app, error)
            later = RECORDED_LATER
        if later is not None:
            self._queue.add_after(app, later)

    def _count(self, app: AppKey) -> int:
        state = self._states.of(app)
        state.failed_passes += 1
        return state.failed_passes

    async def _note(self, app: AppKey, failure: ReconcileFailure | None, found: list[Exception], *, told_by_plan: bool = False) -> None:
        """Keeps what failed for the next plan to tell of; where there may be no plan, it is told at once."""
        for error in found:
            self._metrics.failed(reason(error))
        if not found and app not in self._states:
            return  # nothing is kept of an App that there is not
        state, now = self._states.of(app), self._states.clock()
        if failure is not None and state.failure is not None and failure.reason == state.failure.reason:
            failure = failure if now - state.told_at >= TOLD_AGAIN_AFTER else state.failure
        state.told_at = now if failure != state.failure else state.told_at
        if not found:
            state.failed_passes = 0
            if state.failure is not None:
                log.info("App %s/%s is reconciled again", *app)
                self._queue.add(app)
        elif state.failure != failure or state.failed_passes == 1:
            log_failures(app, found)
        state.failure = failure
        if failure is not None and not told_by_plan:
            await self._tell(app, failure)

    async def _tell(self, app: AppKey, failure: ReconcileFailure) -> None:
        """Writes the condition and the Event without a plan: what failed may be the plan."""
        try:
            observed = self._observer.app(app)
            if observed is not None:
                told = tell_failure(observed, failure, datetime.now(UTC))
                await self._executor.execute(app, Plan((Group(FAILURE, told),)))
        except LeadershipLost:
            return  # the next leader finds out, and says, by itself
        except Exception:
            log.exception("App %s/%s: what failed could not be written to its status", *app)
