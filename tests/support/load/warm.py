"""Rolls back to standbys under load, one after another; measures them, and checks what must hold."""

from __future__ import annotations

import time

from dynamiq_operator.model import names
from local.gateway import Gateway
from tests.support.load.callers import Heard, percentile
from tests.support.load.switches import SHARE_OF_CPU, Load, deploy_again, live_on_both, roll_back, switching, told, under_load
from tests.support.stage import Stage, restarts

APP = "shop"
VERSIONS = ("v1", "v2")
APART = 2.5
"""Seconds between two rollbacks: answers of the old version count from 2 s on."""


def roll_back_again_and_again(on: Stage, at: Gateway, rollbacks: int, rate: float) -> Load:
    """Rolls an App back from the newer of two versions each time, whose pods then end; deploys it again in between."""
    on.release(*VERSIONS)
    on.runtime("fast", by_default=True, drainSeconds=5, resources=SHARE_OF_CPU)
    on.app(APP, switching())
    good, bad = VERSIONS
    row, _ = live_on_both(on, at, APP, VERSIONS)
    with under_load(on, APP, rate) as load:
        time.sleep(3)  # no condition is awaited: this is the load without a rollback
        for number in range(rollbacks):
            if number:
                deploy_again(load, bad)
            row = roll_back(load, row, bad, good).row
            time.sleep(APART)  # no condition is awaited: late answers of the old version would occur now
    return load


def report(load: Load, rate: float) -> list[str]:
    """Returns the figures, a line each."""
    left_behind = [(name, load.left_behind(answers)) for name, answers in _ways(load).items()]
    return [
        f"{len(load.rollbacks)} warm rollbacks, one each {APART} s, {rate:g} new connections/s and {rate:g}/s on kept ones through the gateway",
        f"  gateway: {load.heard}",
        f"  by the Service's address: {load.by_service}",
        told("request to the first answer of the version rolled back to", load.first_answers()),
        *(f"  answers of the version left from 2 s after the Service was patched, {name}: {len(calls)}" for name, calls in left_behind),
        f"  pods created: {len(load.pods_created())}; moments without a Ready pod: {len(load.watched.without_ready(names.service(APP)))}",
    ]


def require(load: Load) -> None:
    """Asserts what must hold on any machine.

    It does not check kept connections to the Service's address: they move when their node's proxy is updated, which has no deadline.
    """
    for name, answers in _ways(load).items():
        assert not answers.failed, f"{name}: {answers.why()}"
    assert not load.left_behind(load.heard), load.left_behind(load.heard)[:5]
    assert load.pods_created() == []
    assert load.watched.without_ready(names.service(APP)) == []
    assert restarts(load.on.pods(APP)) == 0
    assert len(load.first_answers()) == len(load.rollbacks)


def require_quick(load: Load, p50: float, p99: float) -> None:
    times = load.first_answers()
    assert percentile(times, 0.5) <= p50, times
    assert percentile(times, 0.99) <= p99, times


def _ways(load: Load) -> dict[str, Heard]:
    return {"through the gateway": load.heard, "by the Service's address": load.by_service}
