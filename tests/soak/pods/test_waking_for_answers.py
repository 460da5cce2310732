"""An answer wakes a version without a pod: how soon its run goes on, by gate or operator alone, and with room for few pods.

Everything is installed as `make demo` has it. The results go to docs/measured/waiting-answers.txt.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import clusters, gateway, images, operators
from local.clusters import Cluster
from local.transcript import Transcript
from tests.soak.support.background_storm import Caller, JournalFile, flow
from tests.soak.support.cold import Times, median
from tests.soak.support.node_counter import counting
from tests.soak.support.sdk_runtime import sdk_runtime
from tests.soak.support.waiting_app import QUESTION, WITHIN, WaitingApp
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.history_stage import in_full
from tests.support.inside import node_of
from tests.support.load.sleepers import host_of
from tests.support.measured import Figures
from tests.support.stage import ONE_POD, Stage, stage
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(3600)
PAIRS, SDK_PAIRS, ALONE = (20, 5, 5) if in_full() else (3, 1, 2)
RATIO_MOST = 1.3
VERSIONS, ROOM = (50, 5) if in_full() else (10, 3)
"""Earlier versions that get two answers each, all at once, and the pods for which there is room."""
BY_AGE = 0.8
"""The least rank correlation of the times of acceptance and of end."""
FIGURES = Figures("waiting-answers")
SDK_ROOM = {"requests": {"cpu": "200m", "memory": "768Mi"}, "limits": {"memory": "2Gi"}}
"""Small enough for three pods: the live one, the one that is kept for a minute after a run, and a bare one."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Provides a cluster of its own, on which everything is installed."""
    name = f"t{os.getpid()}-waking"
    try:
        started = clusters.start(name, "node", env={})
        operators.install(started, Transcript(started, REPOSITORY), gateway.start(started))
        yield started
    finally:
        clusters.stop(name)


@contextmanager
def without(cluster: Cluster, workload: str, namespace: str, selector: str) -> Iterator[None]:
    """Scales a workload to 0 while the block runs, in which it has no pod."""
    kubectl = Kubectl(cluster)
    before = kubectl("get", workload, "-o", "jsonpath={.spec.replicas}", namespace=namespace).stdout

    def scale(to: str) -> None:
        kubectl("scale", workload, f"--replicas={to}", namespace=namespace)
        kubectl("rollout", "status", workload, "--timeout=230s", namespace=namespace)

    scale("0")
    eventually("it has no pod", lambda: not kubectl("get", "pods", "-l", selector, "-o", "name", namespace=namespace).stdout.strip())
    try:
        yield
    finally:
        scale(before)


def test_an_answer_is_used_as_soon_as_a_pod_can_be_there_by_gate_or_operator_alone(cluster: Cluster) -> None:
    with stage(cluster, "answers") as on:
        on.runtime("tiny", by_default=True)
        waiting = WaitingApp(on, gateway.start(cluster), JournalFile.of(cluster), "asks", 1 + PAIRS + 2 * ALONE)
        first = waiting.answered()
        pairs = measured(waiting, PAIRS)
        with without(cluster, operators.GATE, operators.GATE_NAMESPACE, operators.GATE_SELECTOR):
            by_operator = [waiting.answered() for _ in range(ALONE)]
        with without(cluster, operators.WORKLOAD, operators.NAMESPACE, operators.SELECTOR):
            by_gate = [waiting.answered() for _ in range(ALONE)]
        waiting.all_end()
    FIGURES.note(
        *report("tiny", pairs),
        f"  the first answer, for which the operator makes the workload: {first:.2f} s",
        f"  without a gate: {len(by_operator)} of {ALONE} go on, p50 {median(by_operator):.2f} s, at most {max(by_operator):.2f} s",
        f"  without an operator: {len(by_gate)} of {ALONE} go on, p50 {median(by_gate):.2f} s, at most {max(by_gate):.2f} s",
    )
    is_in_time(pairs)


def test_an_answer_is_used_as_soon_as_a_pod_of_the_sdk_can_be_there(cluster: Cluster) -> None:
    cluster.load_images(images.ensure([images.RUNTIME_SDK]).values())
    with stage(cluster, "answers-sdk") as on:
        name = sdk_runtime(on, SDK_ROOM)
        row = {"runtime": name, "config": {"type": "server", "resources": SDK_ROOM, **ONE_POD}}
        waiting = WaitingApp(on, gateway.start(cluster), JournalFile.of(cluster), "asks", 1 + SDK_PAIRS, **row)
        waiting.answered()
        pairs = measured(waiting, SDK_PAIRS)
        waiting.all_end()
    FIGURES.note(*report("sdk", pairs))
    is_in_time(pairs)


def measured(waiting: WaitingApp, pairs: int) -> Times:
    """Answers, and starts a bare pod of the same template, in turn."""
    times, bare = Times(), waiting.bare()
    for number in range(pairs):
        if number % 2:
            times.bare.append(bare.started())
        times.cold.append(waiting.answered())
        if not number % 2:
            times.bare.append(bare.started())
    return times


def is_in_time(pairs: Times) -> None:
    """Asserts the ratio. Few pairs only show that runs go on: one slow start of a pod decides their ratio."""
    assert not in_full() or pairs.ratio() <= RATIO_MOST


def report(engine: str, pairs: Times) -> list[str]:
    low, high = pairs.interval()
    return [
        f"engine {engine}: {len(pairs.cold)} answers to runs of a version without a pod, each until its next node is stored, and as many of "
        "`scale 0 → 1` → Ready of the same pod template, in turn",
        *(
            f"  {name}: p50 {median(times):.2f} s, from {min(times):.2f} to {max(times):.2f} s"
            for name, times in (("answer", pairs.cold), ("bare", pairs.bare))
        ),
        f"  ratio of the medians {pairs.ratio():.2f}, between {low:.2f} and {high:.2f} (95 %)",
    ]


def test_runs_of_many_versions_go_on_by_age_if_there_is_room_for_few_pods(cluster: Cluster, tmp_path: Path) -> None:
    at, app, runs = gateway.start(cluster), "crowded", 2 * VERSIONS
    with stage(cluster, "crowded") as on, counting(node_of(cluster).first, tmp_path) as counter:
        on.runtime("tiny", by_default=True)
        on.app(app)
        journal, versions = JournalFile.of(cluster), [f"v{number}" for number in range(1, VERSIONS + 2)]
        for version in versions:
            on.release(version, text=flow(version, ("a", "b"), "b"))
            on.live(app, version, config=ONE_POD)
            caller = Caller(at, host_of(on, app), on.key(app))
            if version != versions[-1]:
                asked = len(_asking(journal, on)) + 2
                for number in range(2):
                    caller.accepted(f"{app}-{version}-{number}")
                eventually("they ask", lambda asked=asked: len(_asking(journal, on)) == asked)  # type: ignore[misc]
        eventually("no earlier version has a pod", lambda: len(_pods(on)) == 1, WITHIN)
        on.create(on.named("ResourceQuota", "few") | {"spec": {"hard": {"pods": str(1 + ROOM)}}})
        eventually("the quota counts", lambda: on.get("ResourceQuota", "few").get("status", {}).get("used") == {"pods": "1"})
        with ThreadPoolExecutor(runs) as threads:
            list(threads.map(lambda run_id: caller.approved(run_id, QUESTION), _asking(journal, on)))
        eventually(lambda: f"all end: {journal.states()}", lambda: not journal.open(), WITHIN)
        ended = {order: run for order, run in journal.runs().items() if order.startswith(f"{app}-")}
        times = Counter((each.order, each.node) for each in counter.begun())
    states = Counter(run.state for run in ended.values())
    began = min(run.moments[-1][0] for run in ended.values())
    last = max(run.moments[-1][0] for run in ended.values())
    correlation = statistics.correlation(
        ranks([run.accepted_at for run in ended.values()]), ranks([run.moments[-1][0] for run in ended.values()])
    )
    again = sum(number - 1 for number in times.values())
    FIGURES.note(
        f"{runs} answers at once to runs of {VERSIONS} earlier versions of one App, with room for {ROOM} pods of theirs: {dict(states)}, nodes "
        f"executed twice {again} of {len(times)};",
        f"  rank correlation of the times of acceptance and of end {correlation:.2f}; from the first end to the last {last - began:.0f} s",
    )
    assert states == {"completed": runs}
    assert (again, len(times)) == (0, 2 * runs)
    assert correlation >= BY_AGE


def ranks(times: Sequence[float]) -> list[int]:
    """Returns the place of each in their order."""
    ordered = sorted(times)
    return [ordered.index(each) for each in times]


def _asking(journal: JournalFile, on: Stage) -> list[str]:
    """Returns the ids of the stage's runs that wait."""
    return [run_id for (run_id,) in journal.ask("SELECT lower(hex(id)) FROM run WHERE state = 'waiting' AND namespace = ?", on.namespace)]


def _pods(on: Stage) -> list[str]:
    return [pod["metadata"]["name"] for pod in on.api.get("Pod", "", on.namespace).body["items"]]
