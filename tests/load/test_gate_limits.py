"""Tests the gate in front of sleeping Apps: which calls pass, which and how many it holds, and what happens to them when it dies."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.cluster import Kubectl
from tests.support.gateway import answer
from tests.support.history_stage import counted
from tests.support.load.callers import Heard, calling, percentile
from tests.support.load.operated import Operated, operated
from tests.support.load.sleepers import GATE, Gates, call_at_once, host_of, is_asleep, sleeping, wakes
from tests.support.load.watched import watching
from tests.support.measured import Figures
from tests.support.stage import Stage
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long(
        "hundreds of callers held at once, and a gate that dies; one sleeping App and its callers: tests/node/test_no_call_fails.py"
    ),
    pytest.mark.timeout(1800),
]
IN_FULL = bool(os.environ.get("SOAK"))
WITHOUT_KEY = 10_000
HELD = 50
MOST_HELD = 1000
BEYOND = 50
QUICK_RATE = 50
QUICK_FOR = 20.0 if IN_FULL else 8.0  # seconds
HELD_FOR = 120.0
ACCOUNT = f"system:serviceaccount:{GATE}:dynamiq-gate"
FIGURES = Figures("gate")


@pytest.fixture(scope="module")
def stage(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with operated(cluster, at, "gate", tmp_path_factory.mktemp("gate")) as prepared:
        prepared.on.release("v1")
        prepared.on.runtime("fast", by_default=True)
        yield prepared


@pytest.fixture
def on(stage: Operated) -> Stage:
    return stage.on


@pytest.fixture
def gates(stage: Operated) -> Gates:
    return stage.gates


@pytest.fixture
def no_room(cluster: Cluster) -> Iterator[None]:
    """Blocks the scheduling of pods while the test runs, so no App wakes; `let_in` ends it."""
    with contextlib.ExitStack() as stack:
        stack.callback(let_in, cluster)
        Kubectl(cluster)("cordon", "--selector=kubernetes.io/os=linux")
        yield


def let_in(cluster: Cluster) -> None:
    """Allows the scheduling of pods again."""
    Kubectl(cluster)("uncordon", "--selector=kubernetes.io/os=linux")


@pytest.mark.full_count
def test_calls_without_a_key_or_with_a_wrong_one_wake_nothing(on: Stage, cluster: Cluster, at: Gateway) -> None:
    sleeping(on, at, ["private"])
    host, calls = host_of(on, "private"), counted(WITHOUT_KEY) // 2
    since = time.time()
    with (
        watching(on.api, on.namespace, ("Deployment",)) as watched,
        calling(cluster, host, new=500, count=calls) as without,
        calling(cluster, host, "wrong", kept=500, count=calls) as wrong,
    ):
        pass
    statuses = {name: Counter(call.status for call in answers.calls) for name, answers in (("no key", without), ("a wrong key", wrong))}
    FIGURES.note(f"calls to a sleeping private App: {statuses}; {wakes(watched, 'private', since)} wakes")
    assert statuses == {"no key": {401: calls}, "a wrong key": {401: calls}}, (without.why(), wrong.why())
    assert wakes(watched, "private", since) == 0
    assert is_asleep(on, "private")


def test_the_gates_account_reads_no_secret_of_a_tenant(on: Stage, cluster: Cluster) -> None:
    def may(*right: str) -> bool:
        return Kubectl(cluster)("auth", "can-i", *right, f"--as={ACCOUNT}", check=False).stdout.strip() == "yes"

    assert not may("get", "secrets", "-n", on.namespace)
    assert not may("list", "secrets", "--all-namespaces")
    assert not may("get", "configmaps", "-n", on.namespace)
    assert not may("get", "pods", "-n", on.namespace)
    assert not may("delete", "deployments.apps", "-n", on.namespace)
    assert may("list", "secrets", "-n", GATE)
    scaled = on.api.acting_as(ACCOUNT)
    for replicas in (2, 0):
        answered = scaled.merge(on.named("Workload", "private"), {"spec": {"replicas": replicas}}, subresource="/scale")
        assert answered.status in (403, 422), answered.message


@pytest.mark.full_count
def test_a_gate_that_dies_takes_only_the_calls_that_it_holds_with_it(
    on: Stage, cluster: Cluster, at: Gateway, gates: Gates, no_room: None
) -> None:
    sleeping_before(on, cluster, at, "held")
    calls = [(host_of(on, "held"), on.key("held"))] * counted(HELD)
    answers: list[tuple[int, str]] = []
    caller = threading.Thread(target=lambda: answers.extend(call_at_once(at, calls, HELD_FOR)))
    caller.start()
    eventually("all are held", lambda: gates.figure("dynamiq_gate_held", app="held") == len(calls))
    theirs, killed = max(((gates.figure("dynamiq_gate_held", pod, app="held"), pod) for pod in gates.pods()), key=lambda each: each[0])
    assert theirs > 0
    gates.kill(killed)
    let_in(cluster)
    caller.join(HELD_FOR)
    failed = Counter(each for each in answers if each != answer("v1"))
    FIGURES.note(f"{len(calls)} calls held, {theirs:.0f} of them by the gate that is killed: {failed.total()} failed, {dict(failed)}")
    assert failed.total() == theirs
    assert {status for status, _ in failed} <= {502, 503}, failed
    gates.until_ready()


def sleeping_before(on: Stage, cluster: Cluster, at: Gateway, *apps: str) -> None:
    """Makes Apps that fell asleep while pods could be scheduled."""
    let_in(cluster)
    sleeping(on, at, apps)
    Kubectl(cluster)("cordon", "--selector=kubernetes.io/os=linux")


@pytest.mark.full_count
def test_a_thousand_queued_calls_delay_no_other_app_and_those_beyond_are_refused(
    stage: Operated, cluster: Cluster, at: Gateway, gates: Gates, no_room: None
) -> None:
    on, operator = stage.on, stage.operator
    sleeping_before(on, cluster, at, "slow", "quick")
    operator.stop()  # so that the quick one's slice stays, and its calls go through the gate
    try:
        let_in(cluster)
        assert call_at_once(at, [(host_of(on, "quick"), on.key("quick"))], HELD_FOR) == [answer("v1")]
        Kubectl(cluster)("cordon", "--selector=kubernetes.io/os=linux")
        alone = quick(on, cluster)
        host, key, gate = host_of(on, "slow"), on.key("slow"), a_gate_of(on, "slow")  # past the gateway, which has limits of its own
        with calling(cluster, host, key, new=500, at=gate, count=MOST_HELD + BEYOND, timeout=HELD_FOR) as slow:
            eventually("as many are held as may be", lambda: gates.figure("dynamiq_gate_held", app="slow") >= MOST_HELD, HELD_FOR, 0.5)
            beside = quick(on, cluster)
            let_in(cluster)
    finally:
        operator.start()
    ratio = percentile(took(beside), 0.95) / percentile(took(alone), 0.95)
    statuses = Counter(call.status for call in slow.calls)
    FIGURES.note(
        f"calls at a slow App {dict(statuses)}; the quick one's p95 beside them is {ratio:.2f} times that without ({len(beside.calls)} calls)"
    )
    assert statuses == {200: MOST_HELD, 429: BEYOND}, slow.why()
    assert not beside.failed, beside.why()


def quick(on: Stage, cluster: Cluster) -> Heard:
    """Returns the answers to callers of the quick App through a gate."""
    with calling(cluster, host_of(on, "quick"), on.key("quick"), kept=QUICK_RATE, at=a_gate_of(on, "quick")) as answers:
        time.sleep(QUICK_FOR)  # no condition is awaited: this is the time of the measure
    return answers


def a_gate_of(on: Stage, app: str) -> tuple[str, int]:
    """Returns the address at which one of the gates accepts calls of an App."""
    gate_slice = on.get("EndpointSlice", names.gate_slice(app))
    return min(each["addresses"][0] for each in gate_slice["endpoints"]), gate_slice["ports"][0]["port"]


def took(answers: Heard) -> list[float]:
    return sorted(call.took for call in answers.calls)
