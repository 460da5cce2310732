"""A serverless App wakes for queued background runs, and does not fall asleep before them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dynamiq_operator.desired.base import ENDPOINT_SLICE
from dynamiq_operator.model import names
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.observed.conversations import Conversations
from dynamiq_operator.plan.observed.open_runs import OpenCount, OpenRuns
from tests.support import factories as given
from tests.support.world import World, a_world
from tests.unit.support.finishing import JOURNAL, finishing_of, journal_leaves, journal_returns, label_of, open_runs


def asleep(*modifiers: given.Modifier) -> World:
    """Returns a world with a journal whose serverless App sleeps."""
    world = a_world(*modifiers, settings=Settings(journal=JOURNAL))
    world.open_runs = OpenRuns(known_since=world.now)
    world.install_gate("gate-a")
    world.deploy("a", "v1", config={"type": "serverless", "idleSeconds": 60})
    world.run()
    fall_asleep(world)
    assert {raw["spec"]["replicas"] for raw in world.workloads.values()} == {0}
    return world


def fall_asleep(world: World) -> None:
    """Lets everybody be idle for long enough."""
    for idle in (60, 63):
        world.later(idle)
        world.say_idle(idle)
        world.settle()
        if (ENDPOINT_SLICE.api_version, ENDPOINT_SLICE.kind, names.gate_slice(given.NAME)) in world.objects:
            world.lead_to("gate-a")
        world.settle()
    world.roll()
    world.settle()


def pods_of(world: World) -> int:
    made = world.workload
    assert made is not None
    replicas: int = made["spec"]["replicas"]
    return replicas


@pytest.mark.parametrize(
    ("count", "pods"),
    [
        (OpenCount(queued=1), 1),
        (OpenCount(queued=1, polled=True), 0),
        (OpenCount(waiting=1, held=1), 0),
        (OpenCount(running=1), 0),
    ],
    ids=["queued", "queued, and a pod asks", "waits", "its pod is gone"],
)
def test_a_sleeping_app_wakes_for_runs_that_nobody_takes(count: OpenCount, pods: int) -> None:
    world = asleep()
    open_runs(world, a=count)
    world.settle()
    assert pods_of(world) == pods


def test_a_sleeping_app_is_not_woken_for_a_count_that_may_be_old() -> None:
    world = asleep()
    journal_leaves(world)
    open_runs(world, a=OpenCount(queued=1))
    world.settle()
    assert pods_of(world) == 0


@pytest.mark.parametrize(("count", "pods"), [(OpenCount(queued=1, polled=True), 1), (OpenCount(waiting=1), 0)], ids=["queued", "waits"])
def test_an_app_with_queued_runs_does_not_fall_asleep(count: OpenCount, pods: int) -> None:
    world = asleep()
    world.scale(1)
    world.run()
    open_runs(world, a=count)
    fall_asleep(world)
    assert pods_of(world) == pods


def waiting(world: World, *, turn: str = "", callbacks: bool = False) -> None:
    """Says that a turn of this row's pins waits for a pod, or callbacks of the App do."""
    talks = {label_of(world, turn): Conversations(1, turns_wait=True)} if turn else {}
    world.open_runs = replace(world.open_runs, talks=talks, callbacks_wait=callbacks)


@pytest.mark.parametrize("waits", [{"turn": "a"}, {"callbacks": True}], ids=["turn", "callbacks"])
def test_a_sleeping_app_wakes_for_a_turn_or_callbacks_that_no_pod_takes(waits: dict[str, Any]) -> None:
    world = asleep()
    journal_leaves(world)
    waiting(world, **waits)
    world.settle()
    assert pods_of(world) == 0, "that may be old"
    journal_returns(world)
    world.settle()
    assert pods_of(world) == 1
    fall_asleep(world)
    assert pods_of(world) == 1


def test_a_turn_of_another_version_does_not_wake_the_app() -> None:
    world = asleep()
    world.deploy("b", "v2", config={"type": "serverless", "idleSeconds": 60})
    world.run()
    fall_asleep(world)
    waiting(world, turn="a")
    world.settle()
    assert pods_of(world) == 0


def test_runs_of_an_earlier_version_finish_while_the_app_sleeps() -> None:
    world = asleep()
    open_runs(world, a=OpenCount(queued=1, waiting=1))
    world.run()
    world.deploy("b", "v2", config={"type": "serverless", "idleSeconds": 60})
    world.run()
    open_runs(world, a=OpenCount(queued=1, waiting=1))
    fall_asleep(world)
    assert (pods_of(world), finishing_of(world, "a") is not None) == (0, True)


def test_a_standby_that_sleeps_with_its_app_does_not_finish_its_runs() -> None:
    world = asleep(given.with_spec(rollout={"strategy": "Switch"}))
    world.deploy("b", "v2", config={"type": "serverless", "idleSeconds": 60})
    world.run()
    open_runs(world, a=OpenCount(queued=1))
    world.run()
    assert finishing_of(world, "a") is None, "it is warm"
    fall_asleep(world)
    assert {raw["spec"]["replicas"] for name, raw in world.workloads.items() if not name.endswith("-fin")} == {0}
    assert finishing_of(world, "a") is not None
