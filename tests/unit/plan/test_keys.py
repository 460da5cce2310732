"""Plans for Access Keys: the Secret belongs to the user, and running pods are notified once of each change."""

from __future__ import annotations

import copy

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.plan.children.access_keys import CLOCKS
from tests.support import factories as given
from tests.support.world import World, a_world, serving
from tests.unit.support.plan_lines import shown, told

NOTED = "apply Deployment for .metadata.annotations." + names.KEYS_ANNOTATION


def change(world: World) -> None:
    """Changes the keys in the Secret as a user."""
    secret = world.child("Secret", names.access_keys(given.NAME))
    secret["stringData"] = {"mine": "changed"}
    world.edited(secret)


def test_running_pods_are_notified_of_changed_keys_once() -> None:
    world = serving()
    world.later(3600)
    before = copy.deepcopy(world.child("Deployment")["spec"]), world.child("Secret", names.access_keys(given.NAME))
    change(world)
    plan = world.plan()
    assert (shown(plan), told(plan)) == ([NOTED, "tell chat-0 of keys"], [])
    world.run()
    assert (world.child("Deployment")["spec"], world.child("Secret", names.access_keys(given.NAME))) == before
    assert world.phases == {"a": "#1 Live"}


def test_pods_that_start_later_are_not_notified() -> None:
    world = serving()
    change(world)
    world.run()
    world.later(CLOCKS.total_seconds() + 1)
    world.deploy("b", "v2")
    world.run()
    assert [pod["metadata"].get("annotations") for pod in world.pods] == [None]


def test_after_a_crash_the_remaining_pods_are_notified() -> None:
    world = serving("v1")
    workload = world.child("Deployment")
    workload["spec"]["replicas"] = 3
    world.edited(workload)
    world.roll()
    change(world)
    first = world.plan().operations[:2]
    world.perform(first)
    world.later(3600)  # while no operator runs
    assert shown(world.plan()) == ["tell chat-1 of keys", "tell chat-2 of keys"]


def test_a_pod_that_cannot_begin_has_the_keys_looked_at_again_and_again_ever_more_seldom() -> None:
    world = serving()
    assert world.plan().requeue_after is None
    world.stall({"waiting": {"reason": "ContainerCreating"}})
    world.settle()
    waited = []
    for _ in range(4):
        wait = world.plan().requeue_after
        assert wait is not None
        waited.append(wait)
        world.later(wait)
    assert waited == [15, 15, 30, 60]


def test_a_first_deploy_and_a_redeploy_notify_no_pod() -> None:
    world = a_world()
    world.settle()
    for name, version in (("a", "v1"), ("b", "v2")):
        world.deploy(name, version)
        world.run()
    assert not [line for action in world.written for line in [type(action).__name__] if line == "AnnotatePod"]


def test_pods_are_notified_of_recreated_keys_too() -> None:
    world = serving()
    del world.objects[("v1", "Secret", names.access_keys(given.NAME))]
    assert shown(world.plan()) == ["create access keys"]
    world.settle()
    assert [pod["metadata"]["annotations"][names.KEYS_ANNOTATION] for pod in world.pods] == [
        world.child("Secret", names.access_keys(given.NAME))["metadata"]["resourceVersion"]
    ]


def test_an_app_that_becomes_public_notifies_no_pod() -> None:
    world = serving()
    app = world.objects[next(key for key in world.objects if key[1] == "App")]
    app["spec"]["access"] = {"type": "public"}
    world.edited(app)
    world.run()
    change(world)
    assert world.plan().operations == ()
    assert names.KEYS_ANNOTATION not in world.child("Deployment")["metadata"]["annotations"]
    assert world.phases == {"a": "#1 Live"}, "a change of access is no row"


@pytest.mark.parametrize("serves", [True, False])
def test_no_pod_mounts_a_secret_of_that_name_that_another_owns(serves: bool) -> None:
    world = serving("v1", given.public()) if serves else a_world(given.public())
    stranger = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": names.access_keys(given.NAME), "namespace": given.NAMESPACE}}
    world.add(stranger)
    before = copy.deepcopy(world.workload)
    app = world.objects[next(key for key in world.objects if key[1] == "App")]
    app["spec"]["access"] = {"type": "private"}
    world.edited(app)
    world.deploy("b", "v2")
    world.settle()
    world.roll()
    world.settle()
    assert world.workload == before
    assert world.condition("ChildrenApplied") == ("False", "NameTaken")
    assert world.phases["b"].endswith("Progressing")
    del world.objects[("v1", "Secret", names.access_keys(given.NAME))]
    world.run()
    assert (world.phases["b"].split()[1], world.serving) == ("Live", "v2")
