"""Defines the gate's /metrics: calls held, Apps woken and how long that took, calls refused, and calls forwarded."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 30, 60, 120, 300, 600)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
OTHER = "other"
"""Replaces a name that is no DNS label: slices made by others may contain anything."""


class GateMetrics:
    """The registry of one gate."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        app = ["namespace", "app"]
        self._held = Gauge("dynamiq_gate_held", "Calls that wait for a pod of their App.", app, registry=self.registry)
        self._in_flight = Gauge("dynamiq_gate_in_flight", "Calls in progress at a pod.", app, registry=self.registry)
        self._woken = Counter("dynamiq_gate_woken", "Scales from 0 to 1 that the API server has carried out.", app, registry=self.registry)
        self._forwarded = Counter("dynamiq_gate_forwarded", "Calls that were forwarded to a pod.", app, registry=self.registry)
        self._refused = Counter(
            "dynamiq_gate_refused", "Calls that the gate itself answered, by the error's code.", [*app, "code"], registry=self.registry
        )
        self._ended = Counter(
            "dynamiq_gate_ended",
            "Connections that were closed since there were too many, or since unfinished heads or unread answers took too much memory.",
            ["namespace"],
            registry=self.registry,
        )
        self.wake_seconds = Histogram(
            "dynamiq_gate_wake_duration_seconds",
            "Time from the first call at a sleeping App to a pod that is ready.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.apps = Gauge("dynamiq_gate_apps", "Apps whose calls come to this pod.", registry=self.registry)

    def held(self, namespace: str, app: str, by: int) -> None:
        self._held.labels(label(namespace), label(app)).inc(by)

    def in_flight(self, namespace: str, app: str, by: int) -> None:
        self._in_flight.labels(label(namespace), label(app)).inc(by)

    def woken(self, namespace: str, app: str) -> None:
        self._woken.labels(label(namespace), label(app)).inc()

    def forget_woken(self, namespace: str, app: str) -> None:
        """Drops the wakes of an App."""
        self._woken.remove_by_labels({"namespace": label(namespace), "app": label(app)})

    def forwarded(self, namespace: str, app: str) -> None:
        self._forwarded.labels(label(namespace), label(app)).inc()

    def ended(self, namespace: str) -> None:
        self._ended.labels(label(namespace)).inc()

    def refused(self, namespace: str, app: str, code: str) -> None:
        self._refused.labels(label(namespace), label(app), code).inc()

    def forget(self, namespace: str, app: str) -> None:
        """Drops the series of an App."""
        for family in (self._held, self._in_flight, self._woken, self._forwarded, self._refused):
            family.remove_by_labels({"namespace": label(namespace), "app": label(app)})


def label(name: str) -> str:
    """Returns a name as the value of a label."""
    return name if _LABEL.fullmatch(name) else OTHER
