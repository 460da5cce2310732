"""Defines the metrics of the journal: requests, commits, claims, open runs, and the store. It serves none."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dynamiq_operator import __version__
from dynamiq_recorder.journal.model import MICROSECONDS, Conversations, Open
from dynamiq_recorder.observed import BUCKETS

_PREFIX = "dynamiq_journal_"


class OpenRuns(Collector):
    """The open runs as of the last counts. `read`: returns them. `clock`: microseconds."""

    def __init__(self, read: Callable[[], Iterable[Open]], clock: Callable[[], int]) -> None:
        self._read, self._clock = read, clock

    def collect(self) -> Iterable[GaugeMetricFamily]:
        runs = GaugeMetricFamily(f"{_PREFIX}runs", "Open runs.", labels=["namespace", "app", "pins", "state"])
        oldest: dict[str, int] = {}
        for each in self._read():
            runs.add_metric([each.namespace, each.app, each.pins, each.state], each.runs)
            oldest[each.state] = min(oldest.get(each.state, each.oldest), each.oldest)
        ages = GaugeMetricFamily(f"{_PREFIX}oldest_seconds", "Time since the oldest open run was accepted.", labels=["state"])
        for state, at in sorted(oldest.items()):
            ages.add_metric([state], max(self._clock() - at, 0) / MICROSECONDS)
        return [runs, ages]


class OpenSessions(Collector):
    """The conversations as of the last counts. `read`: returns them."""

    def __init__(self, read: Callable[[], Iterable[Conversations]]) -> None:
        self._read = read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        sessions = GaugeMetricFamily(f"{_PREFIX}sessions", "Conversations.", labels=["namespace", "app", "pins"])
        for each in self._read():
            sessions.add_metric([each.namespace, each.app, each.pins], each.sessions)
        return [sessions]


class PendingCallbacks(Collector):
    """The callbacks as of the last counts. `read`: returns how many are pending."""

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        text = "Callbacks of ended runs that are neither delivered nor failed."
        return [GaugeMetricFamily(f"{_PREFIX}callbacks", text, value=self._read())]


class Metrics:
    """The metrics registry of one journal. Thread-safe."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(f"{_PREFIX}requests", "Requests, by route and status.", ["route", "code"], registry=registry)
        self.request_seconds = Histogram(
            f"{_PREFIX}request_duration_seconds",
            "Time of a reading request, with its wait for news.",
            ["route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.accept_seconds = Histogram(
            f"{_PREFIX}accept_seconds", "Time from the whole body of a new run to its commit.", buckets=BUCKETS, registry=registry
        )
        self.commit_seconds = Histogram(
            f"{_PREFIX}commit_seconds", "Time of a commit, of many operations at once.", buckets=BUCKETS, registry=registry
        )
        self.claims = Counter(f"{_PREFIX}claims", "Claims of runs by pods.", registry=registry)
        self.answers = Counter(f"{_PREFIX}answers", "Answers to questions of runs.", registry=registry)
        self.answers_wait_seconds = Histogram(
            f"{_PREFIX}answers_wait_seconds",
            "Time from an answer to the claim that gets it.",
            buckets=(*BUCKETS, 60, 300, 1800),
            registry=registry,
        )
        self.fenced = Counter(f"{_PREFIX}fenced", "Saves that were refused, since another claim has the run.", registry=registry)
        self.interrupted = Counter(f"{_PREFIX}interrupted", "Runs whose pod was silent for a lease.", registry=registry)
        self.sessions_moved = Counter(
            f"{_PREFIX}sessions_moved", "Conversations that were moved from their version to another.", registry=registry
        )
        self.callbacks_delivered = Counter(f"{_PREFIX}callbacks_delivered", "Callbacks that were delivered.", registry=registry)
        self.callbacks_failed = Counter(
            f"{_PREFIX}callbacks_failed", "Callbacks that were given up, or that their receiver wants no more.", registry=registry
        )
        self.refused = Counter(f"{_PREFIX}records_refused", "Records of runs that the recorder refused.", registry=registry)
        self.unrecorded = Gauge(f"{_PREFIX}unrecorded", "Ended runs that wait for the recorder.", registry=registry)
        self.store_bytes = Gauge(f"{_PREFIX}store_bytes", "Bytes of the store on its disk.", registry=registry)
        self.fullness = Gauge(f"{_PREFIX}store_fullness", "Fullness of the store's disk, from 0 to 1.", registry=registry)
        self.store_is_ready = Gauge(f"{_PREFIX}store_ready", "1 while the store can be written.", registry=registry)
        info = Gauge(f"{_PREFIX}build_info", "Always 1.", ["version", "python"], registry=registry)
        info.labels(__version__, platform.python_version()).set(1)
