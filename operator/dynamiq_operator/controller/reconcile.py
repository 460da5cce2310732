"""Reconciling one App: observe, plan, execute. What ends a reconcile with an error requeues the App with backoff."""

from __future__ import annotations

import logging

from dynamiq_operator.controller.cache import AppKey
from dynamiq_operator.controller.execute.executor import Executor, Failure
from dynamiq_operator.controller.leader import LeadershipLost
from dynamiq_operator.controller.observe import Observer
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.kube import errors
from dynamiq_operator.plan import make_plan

CHANGES_BEFORE_THROTTLING = 8
"""Consecutive reconciles that each changed something, after which the next one is delayed: a plan that never ends must not spin."""
THROTTLE_SECONDS = 1.0
REQUEUE_AFTER_MIN = 0.1
"""Seconds: a plan that wants the next reconcile sooner gets it after these."""

log = logging.getLogger(__name__)


class Reconciler:
    """Reconciles the Apps that a worker takes from the queue."""

    def __init__(self, queue: WorkQueue[AppKey], observer: Observer, executor: Executor) -> None:
        self._queue, self._observer, self._executor = queue, observer, executor
        self._changes: dict[AppKey, int] = {}
        """Consecutive reconciles of an App that changed something."""

    async def process(self, app: AppKey) -> None:
        """Reconciles an App and tells the queue how that ended. Raises nothing: no error ends a worker."""
        try:
            failures = await self.reconcile(app)
        except Exception as error:
            _log_failure(app, error)
            self._queue.done(app, failed=True)
        else:
            self._queue.done(app, failed=bool(failures))

    async def reconcile(self, app: AppKey) -> tuple[Failure, ...]:
        """One reconcile; returns what of its plan failed. After a change without a failure the App is requeued at once, to observe what came of it.

        Raises errors.ApiError of a read, LeadershipLost, and whatever an observation or a plan raises.
        """
        plan = make_plan(await self._observer.observe(app))
        if plan.requeue_after is not None:
            self._queue.add_after(app, max(plan.requeue_after, REQUEUE_AFTER_MIN))
        if not plan.operations:
            self._changes.pop(app, None)
            return ()
        for operation in plan.operations:
            log.info("App %s/%s: %s", *app, type(operation).__name__)
        self._changes[app] = self._changes.get(app, 0) + 1
        failures = await self._executor.execute(app, plan)
        for failure in failures:
            _log_failure(app, failure.error)
        if failures:
            return failures
        if self._changes[app] < CHANGES_BEFORE_THROTTLING:
            self._queue.add(app)
        else:
            self._queue.add_after(app, THROTTLE_SECONDS)
        return ()


def _log_failure(app: AppKey, error: Exception) -> None:
    match error:
        case errors.Conflict():
            log.info("App %s/%s: another manager wrote an object meanwhile: %s; requeued", *app, error)
        case LeadershipLost():
            log.warning("App %s/%s: stopped, since another replica may lead by now", *app)
        case errors.ApiError():
            log.warning("App %s/%s: %s; requeued", *app, error)
        case _:
            log.error("App %s/%s could not be reconciled; requeued", *app, exc_info=error)
