"""Defines the metrics of the recorder: requests, acknowledgements, stored, queued and missing runs, and the store. It serves none."""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from dynamiq_operator import __version__

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics registry of one recorder. Thread-safe."""

    def __init__(self, store: str) -> None:
        """Registers all metrics. `store`: its kind, sqlite or postgresql."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("dynamiq_recorder_requests", "Requests, by route and status.", ["route", "code"], registry=registry)
        self.request_seconds = Histogram(
            "dynamiq_recorder_request_duration_seconds", "Time of a request that reads.", ["route"], buckets=BUCKETS, registry=registry
        )
        self.ack_seconds = Histogram(
            "dynamiq_recorder_ack_duration_seconds",
            "Time from a request with runs, its body there, to its acknowledgement, which is after the commit.",
            buckets=BUCKETS,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "dynamiq_recorder_commit_duration_seconds", "Time of a commit, of many requests at once.", buckets=BUCKETS, registry=registry
        )
        self.stored = Counter("dynamiq_recorder_runs_stored", "Runs that are new in the store.", registry=registry)
        self.repeated = Counter("dynamiq_recorder_runs_repeated", "Runs that were sent again, and were there.", registry=registry)
        self.refused = Counter(
            "dynamiq_recorder_runs_refused", "Spans and runs that were not taken, such as for a clock that is wrong.", registry=registry
        )
        self.archived = Counter(
            "dynamiq_recorder_rows_archived", "Rows that are in the archive, each time that they were handed over.", registry=registry
        )
        self.not_archived = Counter(
            "dynamiq_recorder_rows_refused", "Rows that the archive did not take, such as for a digest that is wrong.", registry=registry
        )
        self.spans_left_out = Counter("dynamiq_recorder_spans_left_out", "Spans that a disk too full had left out.", registry=registry)
        self.trimmed = Counter(
            "dynamiq_recorder_runs_trimmed",
            "Runs that lost nodes and content, or went, since the Apps of a namespace take more than their share of a disk that is nearly full.",
            registry=registry,
        )
        self.unattributed = Gauge(
            "dynamiq_recorder_unattributed_runs", "Runs of an App's pods that are of no row.", ["namespace", "app"], registry=registry
        )
        self.attributed_later = Counter(
            "dynamiq_recorder_runs_attributed_later", "Runs that moved to a row that came after them.", registry=registry
        )
        self.lost = Gauge(
            "dynamiq_recorder_lost_runs",
            "Runs of an App that ended and did not arrive: numbers that are missing, and those that pods dropped.",
            ["namespace", "app"],
            registry=registry,
        )
        self.queue_depth = Gauge("dynamiq_recorder_queue_depth", "Runs that wait for their commit.", registry=registry)
        self.store_bytes = Gauge("dynamiq_recorder_store_bytes", "What the store takes on its disk.", registry=registry)
        self._fullness = Gauge("dynamiq_recorder_store_fullness", "How full the store's disk is, from 0 to 1.", registry=None)
        self._is_fullness_registered = False
        self.store_is_ready = Gauge("dynamiq_recorder_store_ready", "1 while the store can be written.", registry=registry)
        self.rows_are_known = Gauge("dynamiq_recorder_rows_read", "1 once all rows of the cluster were read.", registry=registry)
        self.retained_at = Gauge(
            "dynamiq_recorder_retention_last_success_timestamp_seconds", "When retention last went through; 0 before.", registry=registry
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
