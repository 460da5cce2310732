"""Compares calls of an awake serverless App with those of the same server-based App: in turn, by hostname, on kept connections."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection

from dynamiq_operator.model import names
from local.gateway import Gateway
from tests.support.gateway import ThroughTheGateway, answer, until_answer
from tests.support.load.callers import percentile
from tests.support.load.sleepers import Gates, host_of, serverless, sleeping
from tests.support.stage import Stage
from tests.support.waiting import eventually

WARM = 100
RESAMPLED = 2000
SERVERLESS, SERVER = "awake", "server"
FORWARDED = "dynamiq_gate_forwarded_total"
IDLE = 3600
"""idleSeconds of the App that has to stay awake."""


@dataclass(frozen=True)
class Costs:
    """Seconds of pairs of calls, the serverless App's first, and the number of calls of it through the gate."""

    pairs: list[tuple[float, float]]
    seen_by_the_gate: float

    @property
    def ratio(self) -> float:
        return _ratio(self.pairs)

    def interval(self) -> tuple[float, float]:
        """Returns the 95 % interval of the ratio of the p95s, by bootstrap over pairs."""
        chance = random.Random(1)  # noqa: S311 - it only resamples
        ratios = sorted(_ratio(chance.choices(self.pairs, k=len(self.pairs))) for _ in range(RESAMPLED))
        return ratios[int(0.025 * (RESAMPLED - 1))], ratios[int(0.975 * (RESAMPLED - 1))]

    def report(self) -> list[str]:
        low, high = self.interval()
        ours, theirs = (sorted(each) for each in zip(*self.pairs, strict=True))
        return [
            f"{len(self.pairs)} pairs of calls in turn, an awake serverless App beside the same server-based; the gate saw {self.seen_by_the_gate:.0f}",
            *(
                f"  {name}: p50 {percentile(times, 0.5) * 1000:.2f} ms, p95 {percentile(times, 0.95) * 1000:.2f} ms"
                for name, times in ((SERVERLESS, ours), (SERVER, theirs))
            ),
            f"  ratio of the p95s {self.ratio:.3f}, between {low:.3f} and {high:.3f} (95 %)",
        ]


def measured(on: Stage, at: Gateway, gates: Gates, pairs: int) -> Costs:
    """Measures pairs of calls; their order alternates. The serverless App has slept before, and was woken by a call."""
    sleeping(on, at, [SERVERLESS])
    on.app(SERVER)
    configs = {SERVERLESS: serverless(IDLE), SERVER: {"type": "server"}}
    connections = {}
    for app, config in configs.items():
        on.live(app, "v1", config=config)
        until_answer(host_of(on, app), at, "v1", on.key(app))
        connections[app] = ThroughTheGateway(host_of(on, app), at)
    eventually("no caller is led to the gate", lambda: on.find("EndpointSlice", names.gate_slice(SERVERLESS)) is None)
    keys = {app: on.key(app) for app in configs}
    for app in list(configs) * WARM:
        _took(connections[app], keys[app])
    before = gates.figure(FORWARDED)
    pairs_of_seconds = []
    for number in range(pairs):
        order = (SERVERLESS, SERVER) if number % 2 else (SERVER, SERVERLESS)
        times = {app: _took(connections[app], keys[app]) for app in order}
        pairs_of_seconds.append((times[SERVERLESS], times[SERVER]))
    return Costs(pairs_of_seconds, gates.figure(FORWARDED) - before)


def _took(connection: HTTPConnection, key: str) -> float:
    began = time.perf_counter()
    connection.request("POST", "/", b'{"input": {}}', {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    text = response.read().decode()
    assert (response.status, text) == answer("v1")
    return time.perf_counter() - began


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    ours, theirs = zip(*pairs, strict=True)
    return percentile(sorted(ours), 0.95) / percentile(sorted(theirs), 0.95)
