"""Causes in pods' statuses that fail a rollout, and how long each may last. A cause that a kubelet recovers from fails no deploy at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.plan.observed.causes import Gravity, find_cause
from dynamiq_operator.plan.observed.pods import Container, ObservedPod
from tests.support import factories as given


def a_pod(container: Container) -> ObservedPod:
    return ObservedPod(
        name="chat-1",
        uid="1",
        version="1",
        created=given.NOW,
        keys="",
        template_digest="t",
        deleting=False,
        ready=False,
        container=container,
        unschedulable=None,
    )


@pytest.mark.parametrize(
    ("reason", "message", "gravity"),
    [
        ("CreateContainerConfigError", 'secret "tokens" not found', Gravity.AT_ONCE),
        ("CreateContainerConfigError", "couldn't find key missing in Secret demo/tokens", Gravity.AT_ONCE),
        ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition", Gravity.A_MINUTE),
        ("CreateContainerConfigError", "failed to sync configmap cache: timed out waiting for the condition", Gravity.A_MINUTE),
        ("InvalidImageName", "", Gravity.AT_ONCE),
        ("ImagePullBackOff", "Back-off pulling image", Gravity.A_MINUTE),
        ("RunContainerError", "no such file", Gravity.A_MINUTE),
    ],
)
def test_a_waiting_container_has_a_cause_and_its_gravity(reason: str, message: str, gravity: Gravity) -> None:
    waiting = Container("an-image", ready=False, running=False, restarts=0, waiting_reason=reason, waiting_message=message)
    cause = find_cause([a_pod(waiting)], None)
    assert cause is not None
    assert (cause.gravity, cause.reason) == (gravity, reason)


@pytest.mark.parametrize(
    ("code", "gravity", "said"),
    [
        (2, Gravity.AT_ONCE, "the runtime cannot run this flow: node ask"),
        (1, Gravity.A_MINUTE, "the runtime of pod chat-1 ends with exit code 1: node ask"),
    ],
)
def test_an_ended_container_has_a_cause_and_its_gravity(code: int, gravity: Gravity, said: str) -> None:
    ended = Container(
        "an-image", ready=False, running=False, restarts=1, exit_code=code, exit_reason="Error", exit_message="noise\nnode ask\n"
    )
    cause = find_cause([a_pod(ended)], None)
    assert cause is not None
    assert (cause.gravity, cause.message) == (gravity, said)


def test_a_container_that_was_killed_for_its_memory() -> None:
    killed = Container("an-image", ready=False, running=False, restarts=1, exit_code=137, exit_reason="OOMKilled")
    cause = find_cause([a_pod(killed)], None)
    assert cause is not None
    assert (cause.gravity, cause.message) == (Gravity.A_MINUTE, "pod chat-1 was killed: it used more memory than its limit")


def test_a_container_that_runs_and_is_not_ready() -> None:
    running = Container("an-image", ready=False, running=True, restarts=0)
    cause = find_cause([a_pod(running)], None)
    assert cause is not None
    assert (cause.gravity, cause.reason) == (Gravity.UNTIL_DEADLINE, "NotReady")


def test_a_first_end_without_an_error_is_no_cause() -> None:
    ended = Container("an-image", ready=False, running=False, restarts=0, exit_code=0)
    assert find_cause([a_pod(ended)], None) is None


def test_a_pod_that_no_node_takes_and_one_that_has_no_container_yet() -> None:
    pending = replace(a_pod(Container("an-image", ready=False, running=False, restarts=0)), container=None)
    assert find_cause([pending], None) is None
    cause = find_cause([pending, replace(pending, unschedulable="0/1 nodes are available")], None)
    assert cause is not None
    assert (cause.reason, cause.message) == ("Unschedulable", "no node can take pod chat-1: 0/1 nodes are available")


def test_pods_that_cannot_be_created() -> None:
    failing = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    workload = WorkloadState.of({"metadata": {}, "spec": {}, "status": {"conditions": [failing]}})
    cause = find_cause([], workload)
    assert cause is not None
    assert (cause.reason, cause.message) == ("PodsRefused", "pods cannot be created: exceeded quota")
