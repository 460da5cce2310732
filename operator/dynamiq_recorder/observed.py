"""What /metrics of the recorder shows: requests, how long an acknowledgement takes, runs stored, what waits, what is missing, and the store."""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from dynamiq_operator import __version__

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One registry for one recorder. Thread-safe."""

    def __init__(self, store: str) -> None:
        """`store`: its kind, sqlite or postgresql."""
        self.registry = made = CollectorRegistry()
        ProcessCollector(registry=made)
        self.requests = Counter("dynamiq_recorder_requests", "Requests, by route and status.", ["route", "code"], registry=made)
        self.request_seconds = Histogram(
            "dynamiq_recorder_request_duration_seconds", "Time of a request that reads.", ["route"], buckets=BUCKETS, registry=made
        )
        self.ack_seconds = Histogram(
            "dynamiq_recorder_ack_duration_seconds",
            "Time from a request with runs, its body there, to its acknowledgement, which is after the commit.",
            buckets=BUCKETS,
            registry=made,
        )
        self.commit_seconds = Histogram(
            "dynamiq_recorder_commit_duration_seconds", "Time of a commit, of many requests at once.", buckets=BUCKETS, registry=made
        )
        self.stored = Counter("dynamiq_recorder_runs_stored", "Runs that are new in the store.", registry=made)
        self.repeated = Counter("dynamiq_recorder_runs_repeated", "Runs that were sent again, and were there.", registry=made)
        self.refused = Counter(
            "dynamiq_recorder_runs_refused", "Spans and runs that were not taken, such as for a clock that is wrong.", registry=made
        )
        self.archived = Counter(
            "dynamiq_recorder_rows_archived", "Rows that are in the archive, each time that they were handed over.", registry=made
        )
        self.not_archived = Counter(
            "dynamiq_recorder_rows_refused", "Rows that the archive did not take, such as for a digest that is wrong.", registry=made
        )
        self.spans_left_out = Counter("dynamiq_recorder_spans_left_out", "Spans that a disk too full had left out.", registry=made)
        self.trimmed = Counter(
            "dynamiq_recorder_runs_trimmed",
            "Runs that lost nodes and content, or went, since the Apps of a namespace take more than their share of a disk that is nearly full.",
            registry=made,
        )
        self.unattributed = Gauge(
            "dynamiq_recorder_unattributed_runs", "Runs of an App's pods that are of no row.", ["namespace", "app"], registry=made
        )
        self.attributed_later = Counter(
            "dynamiq_recorder_runs_attributed_later", "Runs that moved to a row that came after them.", registry=made
        )
        self.lost = Gauge(
            "dynamiq_recorder_lost_runs",
            "Runs of an App that ended and did not arrive: numbers that are missing, and those that pods dropped.",
            ["namespace", "app"],
            registry=made,
        )
        self.queue_depth = Gauge("dynamiq_recorder_queue_depth", "Runs that wait for their commit.", registry=made)
        self.store_bytes = Gauge("dynamiq_recorder_store_bytes", "What the store takes on its disk.", registry=made)
        self._fullness = Gauge("dynamiq_recorder_store_fullness", "How full the store's disk is, from 0 to 1.", registry=None)
        self._fullness_is_told = False
        self.store_is_ready = Gauge("dynamiq_recorder_store_ready", "1 while the store can be written.", registry=made)
        self.rows_are_known = Gauge("dynamiq_recorder_rows_read", "1 once all rows of the cluster were read.", registry=made)
        self.retained_at = Gauge(
            "dynamiq_recorder_retention_last_success_timestamp_seconds", "When retention last went through; 0 before.", registry=made
        )
        self.retained = Counter("dynamiq_recorder_retention_deleted_rows", "Rows of tables that retention deleted.", registry=made)
        info = Gauge("dynamiq_recorder_build_info", "Always 1.", ["version", "python", "store"], registry=made)
        info.labels(__version__, platform.python_version(), store).set(1)

    def committed(self, runs: int, new: int, seconds: float) -> None:
        self.stored.inc(new)
        self.repeated.inc(max(runs - new, 0))
        self.commit_seconds.observe(seconds)

    def filled(self, part: float | None) -> None:
        """How full the store's disk is, from 0 to 1; there is no series where it was never known."""
        if part is None:
            return
        self._fullness.set(part)
        if not self._fullness_is_told:
            self._fullness_is_told = True
            self.registry.register(self._fullness)

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
