"""What Kubernetes makes of the writes of a switch: two plain workloads behind one Service, whose selector is patched while callers call.

The operator has no part in it: the order of its writes rests on this.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.faults.audit import Audit
from tests.support.gateway import until_answer
from tests.support.history_stage import counted
from tests.support.load.caller import KEPT, NEW
from tests.support.load.callers import Heard, calling, percentile
from tests.support.load.plain import SERVICE, Plain
from tests.support.load.watched import Watched, watching
from tests.support.measured import Figures
from tests.support.stage import Stage, stage

pytestmark = pytest.mark.long("many selector patches by Kubernetes alone; one switch: tests/node/test_no_call_fails.py")

RATE = 100 if os.environ.get("SOAK") else 50
SWITCHES = 30
CONTROLS = 3
FIGURES = Figures("switching")
LEFT_AFTER = 2.0
"""Seconds after the Service was patched from which on nothing of the version left may answer, beside what this machine stood still for."""


@dataclass(frozen=True)
class Switch:
    """One switch: when the API server was asked for it, when it had carried it out, and to which version from which."""

    asked: float
    at: float
    left: str
    taken: str


@pytest.fixture(scope="module")
def plain(cluster: Cluster, at: Gateway) -> Iterator[Plain]:
    with stage(cluster, "switching") as on:
        yield Plain(on)


def switched(on: Stage, audit: Audit, versions: list[str]) -> list[Switch]:
    """The switches of the Service that the API server took, by its own clock."""
    writes = [write for write in audit.writes("services", SERVICE) if write.verb == "patch"]
    return [Switch(write.received, write.answered, left, taken) for write, left, taken in zip(writes, versions, versions[1:], strict=False)]


def first_answers(heard: Heard, switches: list[Switch]) -> list[float]:
    """Seconds from each switch to the first answer of the version that it took."""
    found = [(heard.first_of(switch.taken, switch.at), switch.at) for switch in switches]
    return sorted(call.answered - at for call, at in found if call is not None)


def last_calls(heard: Heard, switches: list[Switch]) -> list[float]:
    """Seconds from each switch to the sending of the last call that the version that was left answered."""
    ends = [switch.asked for switch in switches[1:]] + [float("inf")]  # from then on it may be the next one that it answers for
    return sorted(
        max((call.sent - switch.at for call in heard.said(switch.left) if switch.at - 1 < call.sent and call.answered < end), default=0.0)
        for switch, end in zip(switches, ends, strict=True)
    )


def followed(watched: Watched, switches: list[Switch]) -> list[float]:
    """Seconds from each switch until the Service's slices had another ready address."""
    states = list(watched.ready_of(SERVICE))
    found = []
    for switch in switches:
        before = [ready for at, ready in states if at < switch.at]
        found += [at - switch.at for at, ready in states if at >= switch.at and ready != before[-1]][:1]
    return sorted(found)


def told(name: str, times: list[float]) -> str:
    return (
        f"  {name}: p50 {percentile(times, 0.5) * 1000:.0f} ms, p99 {percentile(times, 0.99) * 1000:.0f} ms, most {times[-1] * 1000:.0f} ms"
    )


@pytest.mark.full_count
@pytest.mark.timeout(900)
def test_a_selector_that_moves_to_available_pods_fails_no_call_and_takes_all_callers(plain: Plain, cluster: Cluster, at: Gateway) -> None:
    on = plain.on
    for version in ("v1", "v2"):
        plain.run(version)
    plain.expose("v1")
    for version in ("v1", "v2"):
        plain.until_available(version)
    until_answer(plain.host, at, "v1")
    address = on.get("Service", SERVICE)["spec"]["clusterIP"]
    audit = Audit(cluster, on.namespace)
    versions = ["v1"]
    with (
        watching(on.api, on.namespace) as watched,
        calling(cluster, plain.host, new=RATE, kept=RATE) as heard,
        calling(cluster, plain.host, new=20, kept=20, at=(address, 80)) as by_service,
    ):
        time.sleep(2)
        for number in range(counted(SWITCHES)):
            versions.append("v1" if number % 2 else "v2")
            plain.select(versions[-1])
            until_answer(plain.host, at, versions[-1])
            time.sleep(3)  # nothing is waited for: what is counted comes after 2 s
    switches = switched(on, audit, versions)
    lines = [f"{len(switches)} switches, gateway: {heard}", told("slices follow", followed(watched, switches))]
    ways = {"gateway": heard, "gateway, new": heard.of(NEW), "gateway, kept": heard.of(KEPT), "Service, new": by_service.of(NEW)}
    for name, each in ways.items():
        lines.append(told(f"{name}: first answer of the version taken", first_answers(each, switches)))
        lines.append(told(f"{name}: last call of the version left", last_calls(each, switches)))
    FIGURES.note(*lines, f"  Service: {by_service}; kept {dict(by_service.of(KEPT).by_text)}")
    assert len(switches) == counted(SWITCHES)
    assert not heard.failed, heard.why()
    assert not by_service.failed, by_service.why()
    assert not watched.without_ready(SERVICE, switches[0].at)
    stood_still = max(call.took for call in heard.calls)  # for so long nothing of the way there may have run
    late = [wait for wait in last_calls(heard, switches) if wait > LEFT_AFTER + stood_still]
    assert not late, late
    assert len(first_answers(heard, switches)) == len(switches)


@pytest.mark.full_count
@pytest.mark.timeout(900)
def test_a_selector_that_moves_before_the_pods_are_available_does_fail_calls(plain: Plain, cluster: Cluster) -> None:
    """The control: the same harness sees what the order of the writes is for."""
    on = plain.on
    failed = 0
    for number in range(counted(CONTROLS)):
        version = f"early{number}"
        with calling(cluster, plain.host, new=RATE, kept=RATE) as heard, watching(on.api, on.namespace) as watched:
            plain.run(version)
            plain.select(version)
            plain.until_available(version)
            time.sleep(1)  # nothing is waited for: the calls go on for a moment
        FIGURES.note(f"the control, selector moved before the pod is available: {heard}", heard.why())
        failed += len(heard.failed)
        assert watched.without_ready(SERVICE), "the Service had a ready pod all along"
    assert failed > 0
