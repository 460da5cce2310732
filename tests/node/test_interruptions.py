"""Ends pods while a caller waits for an answer: by rollouts, a drain of the node, and death; all calls use the gateway by hostname."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.factories import exposed
from tests.support.flows import sleeping
from tests.support.gateway import ThroughTheGateway, answer, asked, until_answer
from tests.support.load.operated import OPTIONS
from tests.support.load.sleepers import host_of
from tests.support.stage import Stage, operator, stage, uids
from tests.support.waiting import eventually

SHORT = 30  # seconds of a run that a drain meets
LONG = 60 if os.environ.get("SOAK") else 30
"""Seconds of a run: longer than the 15 after which Envoy's default gives up."""
ROLLED_OUT = 100
"""Seconds of a run that has to outlast two deploys in parallel."""
PATIENCE = ROLLED_OUT + 180.0  # seconds
WITHOUT_LIMIT = {"projectcontour.io/response-timeout": "infinity"}
APP = "interrupted"
"""A name of no other test: a drain evicts the pods of every App of this name, and another worker may use the same node."""


@pytest.fixture(scope="module")
def on(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(cluster, "interruptions") as staged, operator(staged, folder=tmp_path_factory.mktemp("interruptions"), options=OPTIONS):
        for version in ("v1", "v2"):
            staged.release(version, text=sleeping(version))
        staged.runtime("patient", by_default=True, drainSeconds=ROLLED_OUT + 30)
        staged.app(APP, exposed("Gateway"))
        staged.live(APP, "v1", config=_pods(1))
        until_answer(host_of(staged, APP), at, "v1", staged.key(APP))
        yield staged


def _pods(number: int) -> dict[str, object]:
    """Returns the config of an App with so many pods."""
    return {"autoscaling": {"minReplicas": number, "maxReplicas": number}}


@contextlib.contextmanager
def running(on: Stage, app: str, at: Gateway, seconds: int = LONG) -> Iterator[list[Future[tuple[int, str]]]]:
    """Runs a run and a stream of so many seconds, both under way when the block begins."""
    kinds = (False, True)
    with ThreadPoolExecutor(len(kinds)) as pool:
        key, where = on.key(app), host_of(on, app)
        calls = [pool.submit(asked, ThroughTheGateway(where, at, PATIENCE), key, stream=stream, seconds=seconds) for stream in kinds]
        eventually("they are under way", lambda: on.runs_under_way(app) == len(kinds) or any(call.done() for call in calls))
        assert not any(call.done() for call in calls), [call.result() for call in calls if call.done()]
        yield calls


@contextlib.contextmanager
def draining(on: Stage, node: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Drains the node with `kubectl drain`, of the App's pods alone; the node accepts pods again at the end."""
    command = [str(on.cluster.kubectl), "--kubeconfig", str(on.cluster.kubeconfig), "drain", node, "--delete-emptydir-data"]
    command += [f"--pod-selector={names.APP_LABEL}={APP}", "--timeout=240s"]
    try:
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        on.kubectl("uncordon", node)


@pytest.mark.timeout(1200)
def test_a_drain_evicts_the_only_pod_after_its_runs_have_ended(on: Stage, at: Gateway, tmp_path: Path) -> None:
    """An App of one pod cannot block a drain. Its running calls are answered; the next caller gets an error at once."""
    log = tmp_path / "drain.log"
    (before,), rows = on.until_settled(APP), on.rows(APP)
    with running(on, APP, at, SHORT) as calls, draining(on, before["spec"]["nodeName"], log) as drain:
        assert drain.wait(PATIENCE) == 0, log.read_text()
        assert "disruption budget" not in log.read_text()
        (run, (status, events)), body = (call.result(PATIENCE) for call in calls), answer("v1")[1]
        assert (run, status, f"data: {body}\n" in events) == ((200, body), 200, True)
        eventually("callers hear of it", lambda: asked(ThroughTheGateway(host_of(on, APP), at), on.key(APP))[0] in (502, 503))
        on.until_condition(APP, "Available", "False")
        assert not uids([before]) & uids(on.pods(APP)), "the next one waits for a node"
    until_answer(host_of(on, APP), at, "v1", on.key(APP))
    on.until_condition(APP, "Ready", "True")
    assert [row["metadata"]["name"] for row in on.rows(APP)] == [row["metadata"]["name"] for row in rows], "no deploy ended by it"


@pytest.mark.full_count
@pytest.mark.timeout(900)
def test_a_pod_that_dies_gives_its_callers_an_error_and_not_a_long_wait(on: Stage, at: Gateway) -> None:
    on.until_settled(APP)
    with running(on, APP, at, ROLLED_OUT) as calls:
        (pod,) = on.pods(APP)
        on.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0", namespace=on.namespace)
        eventually("every caller has an answer", lambda: all(call.done() for call in calls), ROLLED_OUT - 5)
        (run, _), (stream, events) = (call.result() for call in calls)
    assert run in (502, 503)
    assert stream == 0, f"the stream broke off, and its caller was told of an end: {events}"
    until_answer(host_of(on, APP), at, "v1", on.key(APP))


@pytest.mark.full_count
@pytest.mark.timeout(1200)
def test_long_runs_and_open_streams_end_on_the_version_that_they_began_on(on: Stage, at: Gateway) -> None:
    other = "by-ingress"
    on.app(other, exposed("Ingress", annotations=WITHOUT_LIMIT))
    on.live(other, "v1", config=_pods(1))
    until_answer(host_of(on, other), at, "v1", on.key(other))
    with running(on, other, at, ROLLED_OUT) as by_ingress, running(on, APP, at, ROLLED_OUT) as by_gateway:
        rows = {app: on.deploy(app, "v2") for app in (other, APP)}
        for app, row in rows.items():
            on.until(row, "Live")
            until_answer(host_of(on, app), at, "v2", on.key(app))
        assert not any(call.done() for call in (*by_ingress, *by_gateway)), "they ended before the rollout did: nothing is shown"
        results = {other: [call.result(PATIENCE) for call in by_ingress], APP: [call.result(PATIENCE) for call in by_gateway]}
    body = answer("v1")[1]
    for app, (run, (status, events)) in results.items():
        assert run == (200, body), app
        assert (status, events.endswith(f"event: result\ndata: {body}\n\n")) == (200, True), app


@pytest.mark.timeout(1200)
def test_a_drain_of_the_node_keeps_the_disruption_budget_and_fails_no_call(on: Stage, at: Gateway, tmp_path: Path) -> None:
    on.live(APP, on.get("App", APP)["status"]["live"]["workflowVersion"], config=_pods(2))
    before = on.until_settled(APP)
    log = tmp_path / "drain.log"
    options = ["--host", host_of(on, APP)]
    with on.load(APP, url=f"http://{at.inside}/", options=options) as calls:
        node = before[0]["spec"]["nodeName"]
        with draining(on, node, log) as drain:
            eventually("the second pod may not go", lambda: "violate the pod's disruption budget" in log.read_text())
            assert len(uids(before) & uids(on.pods(APP))) == 1
            on.kubectl("uncordon", node)  # on a cluster of one node the next pod fits nowhere else
            assert drain.wait(240) == 0, log.read_text()
        after = on.until_settled(APP)
    assert not uids(before) & uids(after)
    assert calls["failed"] == 0, calls["errors"]
