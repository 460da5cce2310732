"""Exports metrics of notifications: delivered, lost and why, and how many wait. A sink has its name in them, and never its URL."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from dynamiq_operator.controller.notifications.delivery import Lost


class NotificationMetrics:
    """The metrics of one operator's notifications."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sent = Counter("dynamiq_notifications_sent", "Notifications that a sink accepted.", ["sink"], registry=registry)
        self._lost = Counter(
            "dynamiq_notifications_lost", "Notifications that were given up, by reason.", ["sink", "reason"], registry=registry
        )
        self._waiting = Gauge("dynamiq_notifications_waiting", "Notifications that wait for their sink.", ["sink"], registry=registry)
        self._known: set[str] = set()

    def know(self, sink: str) -> None:
        """Begins the series of a sink: a counter that begins with its first loss shows no increase, so no alert would fire."""
        if sink not in self._known:
            self._known.add(sink)
            self._sent.labels(sink)
            for reason in Lost:
                self._lost.labels(sink, reason.value)

    def sent(self, sink: str) -> None:
        self.know(sink)
        self._sent.labels(sink).inc()

    def lost(self, sink: str, reason: Lost, count: int = 1) -> None:
        self.know(sink)
        self._lost.labels(sink, reason.value).inc(count)

    def waiting(self, sink: str, count: int) -> None:
        self._waiting.labels(sink).set(count)
