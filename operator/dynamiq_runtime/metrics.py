"""Defines /metrics: runs by outcome, their latency, those in flight and waiting, tokens and cost, refusals, and what is served."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from dynamiq_runtime import __version__, lazy_packages
from dynamiq_runtime.callers import as_label
from dynamiq_runtime.engine import Report
from dynamiq_runtime.settings import Settings

SERVER_ERROR = 500  # statuses from here on are the server's failures; below, the caller's errors
NOT_IMPLEMENTED = 501  # the caller's, too: it asks for what this version does not serve
JOURNAL_AWAY = "journal_away"
"""The code of an error that is neither the caller's nor the App's: no version is to be reverted for it."""
SESSION_UNKNOWN, SESSION_UNREACHABLE, HOP_BROKEN, MISDIRECTED = "session_unknown", "session_unreachable", "hop_broken", "misdirected"
OF_NO_VERSION = frozenset({JOURNAL_AWAY, SESSION_UNKNOWN, SESSION_UNREACHABLE, HOP_BROKEN, MISDIRECTED})
"""Codes of errors that say nothing about the version of the pod that answers so."""
OLDEST_MOST = 100
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
TRIGGERS, OTHER_TRIGGER = 50, "other"
OUTCOMES = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed_out": "failed",
    "cut_off": "failed",
    "refused": "refused",
    "abandoned": None,
    "canceled": None,
}
"""Outcomes of runs, and the totals that count them. No total counts a run whose caller left or canceled it: its outcome is unknown."""


class Metrics:
    """The registry of one server. `waiting` returns how many runs wait for a thread.

    `totals`: requests by responsibility. `failed` is the server's: 5xx, and streams that ended so; `refused` is the caller's: 4xx, and 501.
    `failed_seconds`: total duration of the failed runs.
    """

    def __init__(self, settings: Settings, waiting: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        self.runs = counter("dynamiq_runtime_runs", "Runs that ended, by outcome.", ["outcome"])
        self.latency = Histogram(
            "dynamiq_runtime_run_duration_seconds", "Time from request to answer.", buckets=BUCKETS, registry=self.registry
        )
        self.in_flight = Gauge("dynamiq_runtime_runs_in_flight", "Runs under way.", registry=self.registry)
        queued = Gauge("dynamiq_runtime_runs_waiting", "Runs that wait for others to end.", registry=self.registry)
        queued.set_function(waiting)
        self._refused = counter("dynamiq_runtime_requests_refused", "Requests that started no run, by the error's code.", ["code"])
        self._tokens = counter("dynamiq_runtime_tokens", "Tokens that nodes report, by the flow's node and kind.", ["node", "kind"])
        self._cost = counter("dynamiq_runtime_cost_usd", "US dollars that nodes report, by the flow's node.", ["node"])
        self._by_trigger = counter("dynamiq_runtime_runs_by_trigger", "Runs that a trigger started, by its name.", ["trigger"])
        self._unpriced = counter("dynamiq_runtime_unpriced_calls", "Calls of models without a known price, by the flow's node.", ["node"])
        self._dropped = counter("dynamiq_runtime_records_dropped", "Runs whose records were dropped, since no recorder took them.")
        self._hops = counter("dynamiq_hops", "Turns of conversations that were sent to pods of another version, by their end.", ["result"])
        self._unknown = counter("dynamiq_sessions_unknown", "Turns of conversations whose version the journal could not tell.")
        self._triggers: set[str] = set()
        whole = Gauge(
            "dynamiq_runtime_sdk_loaded_whole",
            "1 if the SDK does not load with lazy packages, and was loaded whole.",
            registry=self.registry,
        )
        whole.set_function(lazy_packages.has_given_up)
        Info("dynamiq_runtime", "What is served, and by what.", registry=self.registry).info(
            {
                "app": settings.app,
                "workflow_version": settings.workflow_version or "",
                "engine": settings.engine,
                "version": __version__,
            }
        )
        for outcome in OUTCOMES:
            self.runs.labels(outcome)
        self.totals = {"succeeded": 0, "failed": 0, "refused": 0}
        self.failed_seconds = 0.0
        self._under_way: dict[str, float] = {}

    def begin(self, run_id: str) -> None:
        """Notes that a run is under way, or waits for a thread."""
        self._under_way[run_id] = time.monotonic()

    def end(self, run_id: str) -> None:
        self._under_way.pop(run_id, None)

    def running_seconds(self) -> list[float]:
        """Returns how long each run has been under way, the OLDEST_MOST oldest first. A run has ended even if its answer is not read."""
        now = time.monotonic()
        return [round(now - began, 1) for began in itertools.islice(self._under_way.values(), OLDEST_MOST)]

    def count(self, outcome: str, seconds: float, report: Report) -> None:
        """Counts a run that ended, and the usage of its nodes."""
        self.runs.labels(outcome).inc()
        if counts_as := OUTCOMES[outcome]:
            self.totals[counts_as] += 1
            self.failed_seconds += seconds if counts_as == "failed" else 0.0
        self.latency.observe(seconds)
        for node in list(report.nodes):
            if (usage := node.usage) is not None:
                for kind, tokens in (("prompt", usage.input_tokens), ("completion", usage.output_tokens)):
                    if tokens:
                        self._tokens.labels(node.within, kind).inc(tokens)
                if usage.cost is None:
                    self._unpriced.labels(node.within).inc()
                else:
                    self._cost.labels(node.within).inc(usage.cost)

    def count_trigger(self, trigger: str) -> None:
        """Counts a run that names a trigger. Callers can send any name, so only a limited number is counted by name."""
        label = as_label(trigger)
        if label is None or (label not in self._triggers and len(self._triggers) >= TRIGGERS):
            label = OTHER_TRIGGER
        self._triggers.add(label)
        self._by_trigger.labels(label).inc()

    def drop_records(self, runs: int) -> None:
        """Counts runs whose records were dropped; from any thread."""
        self._dropped.inc(runs)

    def count_hop(self, result: str) -> None:
        self._hops.labels(result).inc()

    def count_unknown_session(self) -> None:
        self._unknown.inc()

    def refuse(self, status: int, code: str) -> None:
        """Counts a request that started no run."""
        self._refused.labels(code).inc()
        if code in OF_NO_VERSION:
            return
        self.totals["refused" if status < SERVER_ERROR or status == NOT_IMPLEMENTED else "failed"] += 1

    def render(self) -> bytes:
        """Returns the metrics in Prometheus' text format."""
        return generate_latest(self.registry)
