"""Counts the operator's work for /metrics: deploys, reconciles, Apps that wait for one, and whether this replica leads.

It counts what was done, never what was decided. Labels have few values: only `live_rows` names Apps.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from dynamiq_operator.kube import errors
from dynamiq_operator.model.objects import Row, parse_time
from dynamiq_operator.model.row import Outcome, Result
from dynamiq_operator.plan.history.lifecycle import waits

INTERNAL = "InternalError"
"""The reason of an error that is not the API server's: a bug of ours."""
DEPLOY_BUCKETS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600)
RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class OperatorMetrics:
    """The metrics of one operator, in a registry. `depth`, `oldest` (seconds) and `leads` are called at each scrape."""

    def __init__(
        self, depth: Callable[[], float] = lambda: 0, oldest: Callable[[], float] = lambda: 0, leads: Callable[[], bool] = lambda: False
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._deploys = Counter("dynamiq_deploys", "Deploys that ended, by their outcome.", ["result"], registry=self.registry)
        self._deploy_seconds = Histogram(
            "dynamiq_deploy_duration_seconds",
            "Time from the begin of a deploy, when it was pinned, to its outcome.",
            ["result"],
            buckets=DEPLOY_BUCKETS,
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "dynamiq_reconcile_duration_seconds", "Time of one reconcile of one App.", buckets=RECONCILE_BUCKETS, registry=self.registry
        )
        self.errors = Counter(
            "dynamiq_reconcile_errors",
            "Errors of reconciles, by the API server's reason, or InternalError for a bug of ours. Each is tried again.",
            ["reason"],
            registry=self.registry,
        )
        self.reverts = Counter("dynamiq_reverts", "Bad versions that the operator has reverted.", registry=self.registry)
        self.bypasses = Counter("dynamiq_bypasses", "Rows that bypassed the guards.", registry=self.registry)
        for name, text, of in (
            ("dynamiq_workqueue_depth", "Apps that wait to be reconciled.", depth),
            ("dynamiq_workqueue_oldest_seconds", "How long the App has waited that has waited longest; 0 if none waits.", oldest),
            ("dynamiq_leader", "1 while this replica leads, else 0.", leads),
        ):
            Gauge(name, text, registry=self.registry).set_function(of)
        self._verifications = Counter(
            "dynamiq_verifications",
            "Smoke tests of new pods before a caller reached them, by result.",
            ["result"],
            registry=self.registry,
        )
        self._verification_seconds = Histogram(
            "dynamiq_verification_duration_seconds",
            "Time from when all new pods were ready until their smoke test had passed or failed.",
            ["result"],
            buckets=DEPLOY_BUCKETS,
            registry=self.registry,
        )
        for ended in ("Passed", "Failed"):
            self._verifications.labels(ended)
            self._verification_seconds.labels(ended)
        for result in Result:
            self._deploys.labels(result.value)
            self._deploy_seconds.labels(result.value)
        # A counter that begins with its first error shows no increase, so no alert would fire.
        for reason in {*(kind.__name__ for kind in errors.ERRORS.values()), errors.Unavailable.__name__, INTERNAL}:
            self.errors.labels(reason)

    def ended(self, record: Row, outcome: Outcome) -> None:
        """Counts a deploy whose outcome has been written. A deploy that never began, since its row waited, has no duration."""
        self._deploys.labels(outcome.result.value).inc()
        if record.pinned is not None and not waits(record):
            began = record.spec.released.at if record.spec.released is not None else record.pinned.created_at
            took = (parse_time(outcome.at) - parse_time(began)).total_seconds()
            self._deploy_seconds.labels(outcome.result.value).observe(max(took, 0.0))

    def verified(self, seconds: float, *, passed: bool) -> None:
        """Counts a smoke test whose end has been written."""
        result = "Passed" if passed else "Failed"
        self._verifications.labels(result).inc()
        self._verification_seconds.labels(result).observe(seconds)
