"""Warm rollbacks under load, one after another: what is measured, and what must be so."""

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
"""Seconds between two rollbacks: what the version left still answers counts from 2 s on."""


def roll_back_again_and_again(on: Stage, at: Gateway, rollbacks: int, rate: float) -> Load:
    """An App of two versions that goes back from the newer one each time, whose pods then end; it is deployed again in between."""
    on.release(*VERSIONS)
    on.runtime("fast", by_default=True, drainSeconds=5, resources=SHARE_OF_CPU)
    on.app(APP, switching())
    kept, bad = VERSIONS
    row, _ = live_on_both(on, at, APP, VERSIONS)
    with under_load(on, APP, rate) as load:
        time.sleep(3)  # nothing is waited for: this is the load without a rollback
        for number in range(rollbacks):
            if number:
                deploy_again(load, bad)
            row = roll_back(load, row, bad, kept).row
            time.sleep(APART)  # nothing is waited for: answers of the version left would come now
    return load


def report(load: Load, rate: float) -> list[str]:
    """The figures, a line each."""
    left_behind = [(name, load.left_behind(heard)) for name, heard in _ways(load).items()]
    return [
        f"{len(load.rollbacks)} warm rollbacks, one each {APART} s, {rate:g} new connections/s and {rate:g}/s on kept ones through the gateway",
        f"  gateway: {load.heard}",
        f"  by the Service's address: {load.by_service}",
        told("request to the first answer of the version rolled back to", load.first_answers()),
        *(f"  answers of the version left from 2 s after the Service was patched, {name}: {len(calls)}" for name, calls in left_behind),
        f"  pods created: {len(load.pods_created())}; moments without a Ready pod: {len(load.watched.without_ready(names.service(APP)))}",
    ]


def require(load: Load) -> None:
    """What must be so however busy the machine is. A connection that is kept to a Service's address moves when its pod hears of it, which is promised for no time."""
    for name, heard in _ways(load).items():
        assert not heard.failed, f"{name}: {heard.why()}"
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
