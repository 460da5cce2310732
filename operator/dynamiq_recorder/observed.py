"""Defines the metrics of the recorder: requests, acknowledgements, stored, queued and missing runs, and the store. It serves none."""

from __future__ import annotations

import platform
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from dynamiq_operator import __version__

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class RequestMetrics(Protocol):
    """The metrics of requests, by route."""

    requests: Counter
    request_seconds: Histogram


class Metrics:
    """The metrics registry of one recorder. Thread-safe."""

    def __init__(self, store: str) -> None:
        """Registers all metrics. `store`: its kind, sqlite or postgresql."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("dynamiq_recorder_requests", "Requests, by route and status.", ["route", "code"], registry=registry)
        self.request_seconds = Histogram(
            "dynamiq_recorder_request_duration_seconds", "Time of a reading request.", ["route"], buckets=BUCKETS, registry=registry
        )
        self.ack_seconds = Histogram(
            "dynamiq_recorder_ack_duration_seconds",
            "Time from the whole body of a request with runs to its acknowledgement, which is after the commit.",
            buckets=BUCKETS,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "dynamiq_recorder_commit_duration_seconds", "Time of a commit, of many requests at once.", buckets=BUCKETS, registry=registry
        )
        self.stored = Counter("dynamiq_recorder_runs_stored", "Runs that are new in the store.", registry=registry)
        self.repeated = Counter("dynamiq_recorder_runs_repeated", "Runs that were sent again and are already stored.", registry=registry)
        self.refused = Counter(
            "dynamiq_recorder_runs_refused", "Spans and runs that were refused, such as for a wrong clock.", registry=registry
        )
        self.archived = Counter(
            "dynamiq_recorder_rows_archived", "Archived rows, counted each time that they were handed over.", registry=registry
        )
        self.not_archived = Counter(
            "dynamiq_recorder_rows_refused", "Rows that the archive refused, such as for a wrong digest.", registry=registry
        )
        self.spans_left_out = Counter(
            "dynamiq_recorder_spans_left_out", "Spans that were left out since the disk was nearly full.", registry=registry
        )
        self.trimmed = Counter(
            "dynamiq_recorder_runs_trimmed",
            "Runs that lost nodes and content or were deleted, since the Apps of a namespace exceed their share of a nearly full disk.",
            registry=registry,
        )
        self.unattributed = Gauge(
            "dynamiq_recorder_unattributed_runs", "Runs of an App's pods that belong to no row.", ["namespace", "app"], registry=registry
        )
        self.attributed_later = Counter(
            "dynamiq_recorder_runs_attributed_later", "Runs that were attributed to a row that arrived after them.", registry=registry
        )
        self.lost = Gauge(
            "dynamiq_recorder_lost_runs",
            "Runs of an App that ended but did not arrive: missing numbers, and those that pods dropped.",
            ["namespace", "app"],
            registry=registry,
        )
        self.queue_depth = Gauge("dynamiq_recorder_queue_depth", "Runs that wait for their commit.", registry=registry)
        self.store_bytes = Gauge("dynamiq_recorder_store_bytes", "Bytes of the store on its disk.", registry=registry)
        self._fullness = Gauge("dynamiq_recorder_store_fullness", "Fullness of the store's disk, from 0 to 1.", registry=None)
        self._is_fullness_registered = False
        self.store_is_ready = Gauge("dynamiq_recorder_store_ready", "1 while the store can be written.", registry=registry)
        self.rows_are_known = Gauge("dynamiq_recorder_rows_read", "1 once all rows of the cluster have been read.", registry=registry)
        self.retained_at = Gauge(
            "dynamiq_recorder_retention_last_success_timestamp_seconds", "When retention last completed; 0 before.", registry=registry
        )
        self.retained = Counter("dynamiq_recorder_retention_deleted_rows", "Rows of tables that retention deleted.", registry=registry)
        info = Gauge("dynamiq_recorder_build_info", "Always 1.", ["version", "python", "store"], registry=registry)
        info.labels(__version__, platform.python_version(), store).set(1)

    def committed(self, runs: int, new: int, seconds: float) -> None:
        self.stored.inc(new)
        self.repeated.inc(max(runs - new, 0))
        self.commit_seconds.observe(seconds)

    def filled(self, part: float | None) -> None:
        """Sets how full the store's disk is, from 0 to 1. The series appears with the first known value."""
        if part is None:
            return
        self._fullness.set(part)
        if not self._is_fullness_registered:
            self._is_fullness_registered = True
            self.registry.register(self._fullness)

    def render(self) -> bytes:
        """Returns the text format of Prometheus."""
        return generate_latest(self.registry)
