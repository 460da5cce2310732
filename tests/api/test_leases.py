"""Two replicas: one works, the other takes over when the first is told to end, is killed, or was paused and wakes up too late."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import crashes, deploys, operators
from tests.support.faults.faults import Holds
from tests.support.faults.operators import OperatorProcess
from tests.support.faults.proxy import Proxy
from tests.support.operator import install_rights
from tests.support.waiting import eventually

AT_ONCE = 10.0
EXPIRED = 60.0
"""Seconds within which the other replica works: after SIGTERM, less than a lease lasts (15 s), and after an end without a word."""


@dataclass(frozen=True)
class Pair:
    """The leader and the follower, each with a proxy of its own."""

    first: OperatorProcess
    second: OperatorProcess
    proxy_of_first: Proxy


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    install_rights(cluster)


@pytest.fixture
def pair(cluster: Cluster, api: Api, namespace: str, tmp_path: Path) -> Iterator[Pair]:
    operators.allow_leases(api, namespace)
    deploys.prepare(api, namespace)
    with operators.proxied(cluster, api) as one, operators.proxied(cluster, api) as other:
        first = operators.start(one.url, namespace, tmp_path, lease="shared")
        try:
            first.wait_until_leading()
            second = operators.start(other.url, namespace, tmp_path, lease="shared")
            try:
                eventually("the second follows", lambda: second.said("following: "))
                deploys.deploy(api, namespace, "a")
                yield Pair(first, second, one)
            finally:
                second.stop()
        finally:
            first.stop()


def _seconds_until_it_leads(operator: OperatorProcess, within: float) -> float:
    began = time.monotonic()
    eventually("the second leads", lambda: operator.said("leading as"), within, 0.02)
    return time.monotonic() - began


@pytest.mark.parametrize(("number", "within"), [(signal.SIGTERM, AT_ONCE), (signal.SIGKILL, EXPIRED)], ids=["SIGTERM", "SIGKILL"])
def test_the_other_takes_over(api: Api, namespace: str, pair: Pair, number: signal.Signals, within: float) -> None:
    pair.first.send(number)
    took = _seconds_until_it_leads(pair.second, within)
    print(f"{number.name}: the other led after {took:.1f} s")
    assert pair.first.process.wait(operators.ENDS_WITHIN) == (0 if number is signal.SIGTERM else -number)
    deploys.deploy(api, namespace, "b", "c")
    assert len(api.get("Deployment", "", namespace).body["items"]) == len(deploys.ROWS)


def test_one_that_was_paused_at_a_write_writes_nothing_twice(
    cluster: Cluster, api: Api, namespace: str, pair: Pair, tmp_path: Path
) -> None:
    """The write was on its way for the whole time, and arrives after the other replica has done it."""
    expected, _ = crashes.undisturbed(cluster, api, tmp_path)
    holds = Holds("patch deployments/b")
    pair.proxy_of_first.faults.append(holds)
    deploys.create_row(api, namespace, "b", **deploys.ROWS["b"])
    eventually("the first is about to complete row b", holds.held.is_set)
    pair.first.send(signal.SIGSTOP)
    _seconds_until_it_leads(pair.second, EXPIRED)
    eventually("row b is Live", lambda: deploys.phase(api, namespace, "b") == "Live", deploys.END_WITHIN)
    before = len(pair.proxy_of_first.writes)
    holds.let_go.set()
    eventually("the late write is answered", lambda: holds.call is not None and holds.call.status)
    assert holds.call is not None
    assert holds.call.status == 409
    pair.first.send(signal.SIGCONT)
    eventually("the first follows", lambda: pair.first.said("following: "))
    deploys.deploy(api, namespace, "c")
    eventually("all is told", lambda: deploys.is_settled(api, namespace), deploys.END_WITHIN)
    assert pair.proxy_of_first.writes[before:] == []
    assert deploys.End.of(api, namespace) == expected
