"""When a rollout's time counts: only while it depends on its own pods, and only once they can make progress."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, format_time
from tests.support import factories as given
from tests.support.objects import key_of
from tests.support.world import World, a_world, serving

RUNNING: Manifest = {"running": {}}
CRASHED: Manifest = {"waiting": {"reason": "CrashLoopBackOff"}}
DEADLINE = 300
LONG = 20 * DEADLINE


def status_of_workload(world: World, reason: str = "NewReplicaSetCreated", **counts: Any) -> None:
    """Sets the workload's status as its controller does, at the current time."""
    made = world.child("Deployment")
    progressing = {"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": format_time(world.now)}
    observed = {"observedGeneration": made["metadata"]["generation"]}
    world.child("Deployment")["status"] = {**observed, **counts, "conditions": [progressing]}


def pod_of(world: World, **status: Any) -> None:
    """Adds one pod of the newest template with this status."""
    template = world.child("Deployment")["spec"]["template"]
    meta = {"name": "chat-1", "uid": "1", "labels": template["metadata"]["labels"], "creationTimestamp": format_time(world.now)}
    world.pods = [{"metadata": meta, "spec": template["spec"], "status": status}]


def scheduled(world: World) -> Manifest:
    return {"type": "PodScheduled", "status": "True", "lastTransitionTime": format_time(world.now)}


def first_deploy() -> World:
    world = a_world()
    world.deploy("a", "v1")
    world.settle()
    return world


def reason(world: World) -> str:
    """Returns why the row's deploy is not done."""
    return world.rows["a"].status.conditions[0].reason


def stands_still(world: World) -> None:
    """Asserts that the row stays in progress however long it takes.

    After a minute its condition names the cluster, and that its deadline pauses.
    """
    world.later(61)
    world.settle()
    assert reason(world) == "WaitingForCluster"
    assert "deadline does not run" in world.rows["a"].status.conditions[0].message
    world.later(LONG)
    world.settle()
    assert world.phases == {"a": "#1 Progressing"}


def fails_after(world: World, seconds: float) -> None:
    """Asserts that the row fails after exactly this time."""
    world.later(seconds - 1)
    world.settle()
    assert world.phases == {"a": "#1 Progressing"}
    world.later(1)
    world.settle()
    assert world.phases == {"a": "#1 Failed"}


def test_before_a_controller_has_come_to_the_workload_no_time_passes() -> None:
    world = first_deploy()
    stands_still(world)
    status_of_workload(world, updatedReplicas=1, replicas=1)
    pod_of(world, conditions=[scheduled(world)], containerStatuses=[{"name": "runtime", "state": RUNNING}])
    fails_after(world, DEADLINE)


def test_before_a_pod_was_made_no_time_passes() -> None:
    world = first_deploy()
    status_of_workload(world)
    stands_still(world)
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    pod_of(world, conditions=[scheduled(world)], containerStatuses=[{"name": "runtime", "state": RUNNING}])
    fails_after(world, DEADLINE)


def test_kubernetes_own_deadline_before_a_pod_was_made_fails_nothing() -> None:
    """The workload's controller handles it, but the ReplicaSet's controller does not within the deadline."""
    world = first_deploy()
    status_of_workload(world)
    world.later(DEADLINE)
    status_of_workload(world, "ProgressDeadlineExceeded")
    stands_still(world)
    world.roll()
    world.settle()
    assert world.phases == {"a": "#1 Live"}


def test_kubernetes_own_deadline_counts_from_the_last_progress() -> None:
    world = first_deploy()
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    pod_of(world, conditions=[scheduled(world)], containerStatuses=[{"name": "runtime", "state": RUNNING}])
    world.settle()
    world.later(DEADLINE)
    status_of_workload(world, "ProgressDeadlineExceeded", updatedReplicas=1, replicas=1)
    world.settle()
    assert world.phases == {"a": "#1 Failed"}


def test_before_the_scheduler_has_looked_no_time_passes() -> None:
    world = first_deploy()
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    pod_of(world)
    stands_still(world)
    pod_of(world, conditions=[scheduled(world)], containerStatuses=[{"name": "runtime", "state": RUNNING}])
    fails_after(world, DEADLINE)


def test_pods_that_are_ready_and_not_counted_fail_nothing() -> None:
    """The controller-manager stopped after it had made the pods."""
    world = first_deploy()
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    ready = {"type": "Ready", "status": "True"}
    pod_of(world, conditions=[scheduled(world), ready], containerStatuses=[{"name": "runtime", "state": RUNNING, "ready": True}])
    stands_still(world)


def test_a_time_in_which_no_operator_could_work_does_not_count() -> None:
    world = first_deploy()
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    pod_of(world, conditions=[scheduled(world)], containerStatuses=[{"name": "runtime", "state": RUNNING}])
    world.settle()
    world.later(LONG)
    world.unattended_until = world.now
    fails_after(world, DEADLINE)


def test_a_restored_row_in_flight_has_its_whole_deadline() -> None:
    """Its pins are old, its App's status is lost, and the App was being restored for longer than the deadline."""
    world = first_deploy()
    world.later(LONG)
    world.forget_statuses()
    app = world.objects[next(key for key in world.objects if key[1] == "App")]
    app["metadata"].setdefault("annotations", {})[names.RESTORING_ANNOTATION] = "true"
    world.later(LONG)
    world.settle()
    del app["metadata"]["annotations"][names.RESTORING_ANNOTATION]
    world.denied.add(("Deployment", "chat"))
    del world.objects[key_of(world.child("Deployment"))]
    world.settle()
    fails_after(world, DEADLINE)


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
        {"phase": "Failed", "reason": "NodeShutdown", "message": "Pod was terminated in response to imminent node shutdown."},
        {"phase": "Running", "conditions": [{"type": "DisruptionTarget", "status": "True", "message": "preempted by web-1"}]},
    ],
    ids=lambda status: status.get("reason", "preempted"),
)
def test_a_pod_that_its_node_put_out_is_not_taken_for_one_that_crashes(status: Manifest) -> None:
    world = first_deploy()
    killed = {"exitCode": 137, "reason": "Error"}
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    conditions = [*status.get("conditions", ()), scheduled(world)]
    pod_of(world, **{**status, "conditions": conditions}, containerStatuses=[{"name": "runtime", "state": {"terminated": killed}}])
    world.settle()
    world.later(10)
    world.settle()
    assert reason(world) == "Displaced"
    assert status.get("message", "preempted by web-1") in world.rows["a"].status.conditions[0].message
    fails_after(world, DEADLINE - 10)


def test_a_container_whose_node_went_down_is_not_taken_for_one_that_crashes() -> None:
    world = first_deploy()
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    lost = {"exitCode": 137, "reason": "ContainerStatusUnknown"}
    pod_of(
        world, conditions=[scheduled(world)], containerStatuses=[{"name": "runtime", "state": RUNNING, "lastState": {"terminated": lost}}]
    )
    fails_after(world, DEADLINE)


@pytest.mark.parametrize("first", [True, False])
def test_the_container_that_runs_the_flow_is_known_by_its_name(first: bool) -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=2, availableReplicas=1)
    ours = {"name": "runtime", "restartCount": 3, "state": CRASHED, "lastState": {"terminated": {"exitCode": 2, "message": "node ask"}}}
    sidecar = {"name": "a-sidecar", "restartCount": 0, "ready": True, "state": RUNNING}
    pod_of(world, conditions=[scheduled(world)], containerStatuses=[sidecar, ours] if first else [ours, sidecar])
    world.settle()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert outcome.reason == "the runtime cannot run this flow: node ask"


@pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
def test_another_container_that_fails_is_named_and_not_taken_for_ours(kind: str) -> None:
    world = first_deploy()
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    sidecar = {"name": "a-sidecar", "restartCount": 9, "state": CRASHED, "lastState": {"terminated": {"exitCode": 2, "message": "no"}}}
    ours = {"name": "runtime", "restartCount": 0, "ready": kind == "containerStatuses", "state": RUNNING}
    status: dict[str, list[Manifest]] = {"containerStatuses": [ours]}
    status[kind] = [sidecar, *status.get(kind, [])]
    pod_of(world, conditions=[scheduled(world)], **status)
    world.later(10)
    world.settle()
    assert (reason(world), "a-sidecar: CrashLoopBackOff" in world.rows["a"].status.conditions[0].message) == ("OtherContainer", True)
    fails_after(world, DEADLINE - 10)


def test_the_image_that_is_named_is_the_one_of_our_container() -> None:
    world = first_deploy()
    status_of_workload(world, "ReplicaSetUpdated", updatedReplicas=1, replicas=1)
    pod_of(
        world, conditions=[scheduled(world)], containerStatuses=[{"name": "runtime", "state": {"waiting": {"reason": "InvalidImageName"}}}]
    )
    spec = world.pods[0]["spec"]
    world.pods[0]["spec"] = {**spec, "containers": [{"name": "a-sidecar", "image": "mesh:1"}, *spec["containers"]]}
    world.settle()
    outcome = world.rows["a"].outcome
    assert outcome is not None
    assert given.IMAGE in outcome.reason
